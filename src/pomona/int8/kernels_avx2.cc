// SPDX-License-Identifier: Apache-2.0
#define POMONA_TARGET "avx2,fma"
#include "pomona/int8/loops.h"

namespace pomona::int8 {
namespace {

// AVX2 and FMA. Its products of bytes saturate in pairs, so that bytes are kept and multiplied in 16 bits:
// 16 products in one instruction.
struct Avx2 {
  static constexpr int kColumns = 8, kPanel = 2;
  static constexpr std::size_t kStripBytes = 160
                                             << 10;  // with what goes with it, most of 512 KiB of L2 cache
  using Value = std::int16_t;
  using Lanes = std::int32_t __attribute__((vector_size(32)));
  using Words = std::int16_t __attribute__((vector_size(32)));
  using Floats = __m256;

  static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

  // 12 sums, at most 2 registers of weights, one input and one product.
  static constexpr int rows(int registers) { return 12 / registers; }

  POMONA_KERNEL_INLINE static Lanes four_bytes(const std::uint8_t* from) {
    std::int32_t word;
    std::memcpy(&word, from, sizeof word);
    return reinterpret_cast<Lanes>(_mm256_set1_epi32(word));
  }

  template <bool>
  POMONA_KERNEL_INLINE static Lanes multiply_add(Lanes sum, Lanes pixel, Lanes weights) {
    const __m256i products =
        _mm256_madd_epi16(reinterpret_cast<__m256i>(pixel), reinterpret_cast<__m256i>(weights));
    return reinterpret_cast<Lanes>(_mm256_add_epi32(reinterpret_cast<__m256i>(sum), products));
  }

  POMONA_KERNEL_INLINE static Floats scaled(Lanes sum, const float* scale, const float* bias) {
    return fused(_mm256_cvtepi32_ps(reinterpret_cast<__m256i>(sum)), load(scale), load(bias));
  }

  POMONA_KERNEL_INLINE static Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

  POMONA_KERNEL_INLINE static Floats relu6(Floats value) {
    return _mm256_min_ps(_mm256_max_ps(value, fill(0)), fill(6));
  }

  POMONA_KERNEL_INLINE static Floats load(const float* from) { return _mm256_load_ps(from); }
  POMONA_KERNEL_INLINE static void store(float* to, Floats value) { _mm256_store_ps(to, value); }
  POMONA_KERNEL_INLINE static Floats fill(float value) { return _mm256_set1_ps(value); }

  POMONA_KERNEL_INLINE static void store_fixed(std::int16_t* to, Floats low, Floats high) {
    // What is above the limit saturates.
    const __m256i both = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm256_max_epi16(both, _mm256_setzero_si256()));
  }

  POMONA_KERNEL_INLINE static void store_bytes(Value* to, Floats level) {
    const __m256i whole = _mm256_min_epi32(_mm256_cvtps_epi32(level), _mm256_set1_epi32(255));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1)));
  }

  POMONA_KERNEL_INLINE static Words load_words(const std::int16_t* from) {
    return *reinterpret_cast<const Words*>(from);
  }

  POMONA_KERNEL_INLINE static Words product(Words a, Words b) {
    return reinterpret_cast<Words>(
        _mm256_mulhrs_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
  }

  POMONA_KERNEL_INLINE static void store_levels(Value* to, Words sum, Words bias, Words factor) {
    const __m256i biased = _mm256_adds_epi16(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(bias));
    const __m256i level = _mm256_mulhrs_epi16(biased, reinterpret_cast<__m256i>(factor));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm256_min_epi16(_mm256_max_epi16(level, _mm256_setzero_si256()), _mm256_set1_epi16(255)));
  }
};

}  // namespace

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = kernels_of<Avx2>();
  return kKernels;
}

}  // namespace pomona::int8
