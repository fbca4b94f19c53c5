// SPDX-License-Identifier: Apache-2.0
#define POMONA_TARGET "avx2,fma"
#include "pomona/int8/loops.h"

namespace pomona::int8 {
namespace {

// AVX2 and FMA. Its products of bytes saturate in pairs, so that bytes are kept and multiplied in 16 bits:
// 16 products in one instruction.
struct Avx2 : Vectors<32> {
  static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

  static constexpr int kPanel = 2;
  // With what goes with it most of 512 KiB, a usual L2 cache of CPUs that have no more.
  static constexpr std::size_t kStripBytes = 160 << 10;
  using Value = std::int16_t;

  // 12 sums, at most 2 registers of weights, one input and one product.
  static constexpr int rows(int registers) { return 12 / registers; }

  POMONA_KERNEL_INLINE static Words product(Words a, Words b) {
    return reinterpret_cast<Words>(
        _mm256_mulhrs_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
  }

  template <bool>
  POMONA_KERNEL_INLINE static Lanes multiply_add(Lanes sum, Lanes pixel, Lanes weights) {
    const __m256i products =
        _mm256_madd_epi16(reinterpret_cast<__m256i>(pixel), reinterpret_cast<__m256i>(weights));
    return reinterpret_cast<Lanes>(_mm256_add_epi32(reinterpret_cast<__m256i>(sum), products));
  }

  POMONA_KERNEL_INLINE static void store_levels(Value* to, Words sum, Words bias, Words factor) {
    const __m256i biased = _mm256_adds_epi16(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(bias));
    const __m256i level = _mm256_mulhrs_epi16(biased, reinterpret_cast<__m256i>(factor));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm256_min_epi16(_mm256_max_epi16(level, _mm256_setzero_si256()), _mm256_set1_epi16(255)));
  }

  POMONA_KERNEL_INLINE static Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

  POMONA_KERNEL_INLINE static Floats relu6(Floats value) {
    return _mm256_min_ps(_mm256_max_ps(value, _mm256_setzero_ps()), _mm256_set1_ps(6));
  }

  POMONA_KERNEL_INLINE static void store_bytes(Value* to, Floats level) {
    const __m256i whole = _mm256_min_epi32(_mm256_cvtps_epi32(level), _mm256_set1_epi32(255));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1)));
  }

  POMONA_KERNEL_INLINE static void store_fixed(std::int16_t* to, Floats low, Floats high) {
    // What is above the limit saturates.
    const __m256i both = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm256_max_epi16(both, _mm256_setzero_si256()));
  }
};

}  // namespace

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = kernels_of<Avx2>();
  return kKernels;
}

}  // namespace pomona::int8
