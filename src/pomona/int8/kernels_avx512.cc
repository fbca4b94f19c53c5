// SPDX-License-Identifier: Apache-2.0
#define POMONA_TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
#include "pomona/int8/loops.h"

namespace pomona::int8 {
namespace {

// AVX-512 with VNNI: 64 products of bytes in one instruction.
struct Avx512 : Vectors<64> {
  static bool supported() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  }

  static constexpr int kPanel = 4;
  // With what goes with it half of 1 MiB, a usual L2 cache.
  static constexpr std::size_t kStripBytes = 384 << 10;
  using Value = std::uint8_t;

  // 24 sums, and at most 4 registers of weights and one input.
  static constexpr int rows(int registers) { return registers > 2 ? 24 / registers : 12; }

  POMONA_KERNEL_INLINE static Words product(Words a, Words b) {
    return reinterpret_cast<Words>(
        _mm512_mulhrs_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  }

  template <bool kWide>
  POMONA_KERNEL_INLINE static Lanes multiply_add(Lanes sum, Lanes pixel, Lanes weights) {
    const auto s = reinterpret_cast<__m512i>(sum), p = reinterpret_cast<__m512i>(pixel),
               w = reinterpret_cast<__m512i>(weights);
    return reinterpret_cast<Lanes>(kWide ? _mm512_dpwssd_epi32(s, p, w) : _mm512_dpbusd_epi32(s, p, w));
  }

  POMONA_KERNEL_INLINE static void store_levels(Value* to, Words sum, Words bias, Words factor) {
    const __m512i biased = _mm512_adds_epi16(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(bias));
    const __m512i level = _mm512_mulhrs_epi16(biased, reinterpret_cast<__m512i>(factor));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_cvtusepi16_epi8(_mm512_max_epi16(level, _mm512_setzero_si512())));
  }

  POMONA_KERNEL_INLINE static Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

  POMONA_KERNEL_INLINE static Floats relu6(Floats value) {
    return _mm512_min_ps(_mm512_max_ps(value, _mm512_setzero_ps()), _mm512_set1_ps(6));
  }

  POMONA_KERNEL_INLINE static void store_bytes(Value* to, Floats level) {
    const __m512i whole = _mm512_max_epi32(_mm512_cvtps_epi32(level), _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtusepi32_epi8(whole));
  }

  POMONA_KERNEL_INLINE static void store_fixed(std::int16_t* to, Floats low, Floats high) {
    // What is above the limit saturates.
    const __m512i both = _mm512_packs_epi32(_mm512_cvtps_epi32(low), _mm512_cvtps_epi32(high));
    _mm512_store_si512(to, _mm512_max_epi16(both, _mm512_setzero_si512()));
  }
};

}  // namespace

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = kernels_of<Avx512>();
  return kKernels;
}

}  // namespace pomona::int8
