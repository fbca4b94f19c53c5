// SPDX-License-Identifier: Apache-2.0
#include "pomona/int8/kernels.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

// Functions carry their instruction set themselves, so that nothing else of this file needs more than the
// program's.
#define POMONA_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define POMONA_VNNI_INLINE \
  __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

namespace pomona::int8 {
namespace {

constexpr int kRows = 6;  // pixels of a block with four registers of columns: 24 sums, 4 weights, 1 input

POMONA_VNNI_INLINE inline std::int32_t load_word(const std::uint8_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// The registers of a block: each is named by a constant, never by a loop's variable, and holds sixteen 32-bit
// numbers, where __m512i is eight of 64 bits. Otherwise gcc 12 keeps copies of all of them in memory.
using Lanes = std::int32_t __attribute__((vector_size(64)));

template <int N>
struct Registers {
  Lanes of[N];
};

// Of M pixels times N registers of columns.
template <int M, int N>
struct Sums {
  Registers<N> of[M];
};

template <bool kWide>
POMONA_VNNI_INLINE inline Lanes multiply_add(Lanes sum, __m512i pixel, Lanes weights) {
  const auto sums = reinterpret_cast<__m512i>(sum), factors = reinterpret_cast<__m512i>(weights);
  if constexpr (kWide) return reinterpret_cast<Lanes>(_mm512_dpwssd_epi32(sums, pixel, factors));
  return reinterpret_cast<Lanes>(_mm512_dpbusd_epi32(sums, pixel, factors));
}

template <int N, bool kWide, std::size_t... n>
POMONA_VNNI_INLINE inline void pixel_step(Registers<N>& sums, const std::uint8_t* in,
                                          const Registers<N>& weights, std::index_sequence<n...>) {
  const __m512i pixel = _mm512_set1_epi32(load_word(in));
  ((sums.of[n] = multiply_add<kWide>(sums.of[n], pixel, weights.of[n])), ...);
}

template <int M, int N, bool kWide, std::size_t... m, std::size_t... n>
POMONA_VNNI_INLINE inline void step(Sums<M, N>& sums, const std::uint8_t* in, std::size_t stride,
                                    const std::int8_t* weights, std::index_sequence<m...>,
                                    std::index_sequence<n...> columns) {
  Registers<N> loaded;
  ((loaded.of[n] = *reinterpret_cast<const Lanes*>(weights + 64 * n)), ...);
  (pixel_step<N, kWide>(sums.of[m], in + m * stride, loaded, columns), ...);
}

template <int N, std::size_t... n>
POMONA_VNNI_INLINE inline void clear(Registers<N>& sums, std::index_sequence<n...>) {
  ((sums.of[n] = Lanes{}), ...);
}

template <int M, int N, std::size_t... m>
POMONA_VNNI_INLINE inline void clear(Sums<M, N>& sums, std::index_sequence<m...>) {
  (clear(sums.of[m], std::make_index_sequence<N>()), ...);
}

template <int M, int N, bool kWide>
POMONA_VNNI_INLINE inline Sums<M, N> dots(const std::uint8_t* in, std::size_t stride, int steps,
                                          const std::int8_t* weights) {
  Sums<M, N> sums;
  clear(sums, std::make_index_sequence<M>());
  for (int at = 0; at < steps; ++at, weights += 64 * N, in += 4) {
    step<M, N, kWide>(sums, in, stride, weights, std::make_index_sequence<M>(),
                      std::make_index_sequence<N>());
  }
  return sums;
}

POMONA_VNNI_INLINE inline __m512 scaled(Lanes sum, const float* scale, const float* bias) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sum)), _mm512_load_ps(scale),
                         _mm512_load_ps(bias));
}

// What becomes of the sums of one pixel. `column`: the first register's place among all.
struct ToFixedPoint {
  const std::uint32_t* offsets;
  std::int16_t* out;
  std::size_t plane;

  template <int N>
  POMONA_VNNI_INLINE inline void operator()(const Registers<N>& sums, int pixel, int column,
                                            const float* scale, const float* bias) const {
    static_assert(N % 2 == 0);
    pair(sums.of[0], sums.of[1], pixel, column, scale, bias);
    if constexpr (N == 4) {
      pair(sums.of[2], sums.of[3], pixel, column + 2, scale + 2 * kColumns, bias + 2 * kColumns);
    }
  }

 private:
  POMONA_VNNI_INLINE inline void pair(Lanes low, Lanes high, int pixel, int column, const float* scale,
                                      const float* bias) const {
    const __m512i both =
        _mm512_packs_epi32(_mm512_cvtps_epi32(scaled(low, scale, bias)),
                           _mm512_cvtps_epi32(scaled(high, scale + kColumns, bias + kColumns)));
    // What is above the limit saturated.
    _mm512_store_si512(out + static_cast<std::size_t>(column / 2) * plane + offsets[pixel],
                       _mm512_max_epi16(both, _mm512_setzero_si512()));
  }
};

struct ToBytes {
  const Linear* linear;
  std::uint8_t* out;
  std::size_t stride;

  template <int N>
  POMONA_VNNI_INLINE inline void operator()(const Registers<N>& sums, int pixel, int column,
                                            const float* scale, const float* bias) const {
    one(sums.of[0], pixel, column, scale, bias);
    if constexpr (N > 1) one(sums.of[1], pixel, column + 1, scale + kColumns, bias + kColumns);
    if constexpr (N > 2) one(sums.of[2], pixel, column + 2, scale + 2 * kColumns, bias + 2 * kColumns);
    if constexpr (N > 3) one(sums.of[3], pixel, column + 3, scale + 3 * kColumns, bias + 3 * kColumns);
  }

 private:
  POMONA_VNNI_INLINE inline void one(Lanes sum, int pixel, int column, const float* scale,
                                     const float* bias) const {
    const auto row = static_cast<std::size_t>(pixel), lane = static_cast<std::size_t>(column * kColumns);
    const std::size_t at = row * linear->stride + lane;
    __m512 value = scaled(sum, scale, bias);
    if (linear->add != nullptr) value = _mm512_add_ps(value, _mm512_load_ps(linear->add + at));
    if (linear->keep != nullptr) _mm512_store_ps(linear->keep + at, value);
    const __m512 level =
        _mm512_fmadd_ps(value, _mm512_set1_ps(linear->inverse_step), _mm512_set1_ps(linear->zero));
    const __m512i whole = _mm512_max_epi32(_mm512_cvtps_epi32(level), _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + row * stride + lane), _mm512_cvtusepi32_epi8(whole));
  }
};

template <int N>
struct Totals {
  __m512 of[N];
};

// Sums ReLU6 over the pixels.
template <int N>
struct ToTotals {
  Totals<N>* totals;

  POMONA_VNNI_INLINE inline void operator()(const Registers<N>& sums, int, int, const float* scale,
                                            const float* bias) const {
    add<0>(sums, scale, bias);
    if constexpr (N > 1) add<1>(sums, scale, bias);
    if constexpr (N > 2) add<2>(sums, scale, bias);
    if constexpr (N > 3) add<3>(sums, scale, bias);
  }

 private:
  template <int n>
  POMONA_VNNI_INLINE inline void add(const Registers<N>& sums, const float* scale, const float* bias) const {
    const __m512 value = scaled(sums.of[n], scale + n * kColumns, bias + n * kColumns);
    totals->of[n] = _mm512_add_ps(
        totals->of[n], _mm512_min_ps(_mm512_max_ps(value, _mm512_setzero_ps()), _mm512_set1_ps(6)));
  }
};

// M pixels from `pixel` on.
template <int M, int N, bool kWide, typename Sink, std::size_t... m>
POMONA_VNNI_INLINE inline void run_block(const std::uint8_t* in, std::size_t stride, int steps,
                                         const std::int8_t* weights, const Sink& sink, int pixel, int column,
                                         const float* scale, const float* bias, std::index_sequence<m...>) {
  const Sums<M, N> sums =
      dots<M, N, kWide>(in + static_cast<std::size_t>(pixel) * stride, stride, steps, weights);
  (sink(sums.of[m], pixel + static_cast<int>(m), column, scale, bias), ...);
}

// Runs `sink` over one panel of N registers: M pixels at a time, then what is left.
template <int M, int N, bool kWide, typename Sink>
POMONA_VNNI_INLINE inline void run_panel(const std::uint8_t* in, std::size_t stride, int pixels,
                                         const Panels& panels, int column, const Sink& sink) {
  const std::int8_t* weights =
      panels.weights.get() + static_cast<std::size_t>(column) * static_cast<std::size_t>(panels.steps) * 64;
  const float* scale = panels.scale.get() + column * kColumns;
  const float* bias = panels.bias.get() + column * kColumns;
  int pixel = 0;
  for (; pixel + M <= pixels; pixel += M) {
    run_block<M, N, kWide>(in, stride, panels.steps, weights, sink, pixel, column, scale, bias,
                           std::make_index_sequence<M>());
  }
  for (; pixel + 2 <= pixels; pixel += 2) {
    run_block<2, N, kWide>(in, stride, panels.steps, weights, sink, pixel, column, scale, bias,
                           std::make_index_sequence<2>());
  }
  if (pixel < pixels) {
    run_block<1, N, kWide>(in, stride, panels.steps, weights, sink, pixel, column, scale, bias,
                           std::make_index_sequence<1>());
  }
}

template <bool kWide>
POMONA_VNNI void run_expand(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                            const ToFixedPoint& sink) {
  int column = 0;
  for (; column + 4 <= panels.columns; column += 4) {
    run_panel<kRows, 4, kWide>(in, stride, pixels, panels, column, sink);
  }
  if (column < panels.columns) run_panel<2 * kRows, 2, kWide>(in, stride, pixels, panels, column, sink);
}

template <int N>
POMONA_VNNI void average_panel(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                               int column, float* out) {
  Totals<N> totals;
  for (__m512& total : totals.of) total = _mm512_setzero_ps();
  run_panel<kRows, N, false>(in, stride, pixels, panels, column, ToTotals<N>{&totals});
  const __m512 count = _mm512_set1_ps(static_cast<float>(pixels));
  for (int n = 0; n < N; ++n) _mm512_storeu_ps(out + n * kColumns, _mm512_div_ps(totals.of[n], count));
}

// X neighbouring output columns of one row in one plane.
template <int K, int S, int X>
POMONA_VNNI_INLINE inline void depthwise_block(const std::int16_t* const* rows, std::ptrdiff_t at,
                                               const std::int16_t* weights, __m512i bias, __m512i factor,
                                               std::uint8_t* out, std::size_t out_stride) {
  __m512i sums[X];
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) sums[x] = _mm512_setzero_si512();
#pragma GCC unroll 5
  for (int i = 0; i < K; ++i) {
    __m512i tap[K];
#pragma GCC unroll 5
    for (int j = 0; j < K; ++j) tap[j] = _mm512_load_si512(weights + (i * K + j) * kLanes);
#pragma GCC unroll 16
    for (int column = 0; column < (X - 1) * S + K; ++column) {
      const __m512i value = _mm512_load_si512(rows[i] + at + column * kLanes);
#pragma GCC unroll 4
      for (int x = 0; x < X; ++x) {
        const int j = column - x * S;
        if (j >= 0 && j < K) sums[x] = _mm512_add_epi16(sums[x], _mm512_mulhrs_epi16(value, tap[j]));
      }
    }
  }
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) {
    const __m512i level = _mm512_mulhrs_epi16(_mm512_adds_epi16(sums[x], bias), factor);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + static_cast<std::size_t>(x) * out_stride),
                        _mm512_cvtusepi16_epi8(_mm512_max_epi16(level, _mm512_setzero_si512())));
  }
}

template <int K, int S>
POMONA_VNNI void depthwise_strip(const std::int16_t* in, std::size_t plane, const std::int16_t* zero_row,
                                 const std::int32_t* rows, int out_rows, int out_width, const Taps& taps,
                                 std::uint8_t* out, std::size_t out_stride) {
  constexpr int kAtOnce = 4;
  for (int c = 0; c < taps.planes; ++c) {
    const std::int16_t* from = in + static_cast<std::size_t>(c) * plane;
    const std::int16_t* weights = taps.weights.get() + static_cast<std::ptrdiff_t>(c) * K * K * kLanes;
    const __m512i bias = _mm512_load_si512(taps.bias.get() + c * kLanes);
    const __m512i factor = _mm512_load_si512(taps.factor.get() + c * kLanes);
    for (int y = 0; y < out_rows; ++y) {
      const std::int16_t* window[K];
      for (int i = 0; i < K; ++i) {
        const std::int32_t offset = rows[y * K + i];
        window[i] = offset == kZeroRow ? zero_row : from + offset;
      }
      std::uint8_t* to = out +
                         static_cast<std::size_t>(y) * static_cast<std::size_t>(out_width) * out_stride +
                         static_cast<std::size_t>(c) * kLanes;
      if (out_width >= kAtOnce) {
        for (int x = 0; x < out_width; x += kAtOnce) {
          // The last ones are computed again where the width is no multiple.
          const int first = std::min(x, out_width - kAtOnce);
          depthwise_block<K, S, kAtOnce>(window, static_cast<std::ptrdiff_t>(first) * S * kLanes, weights,
                                         bias, factor, to + static_cast<std::size_t>(first) * out_stride,
                                         out_stride);
        }
      } else {
        for (int x = 0; x < out_width; ++x) {
          depthwise_block<K, S, 1>(window, static_cast<std::ptrdiff_t>(x) * S * kLanes, weights, bias, factor,
                                   to + static_cast<std::size_t>(x) * out_stride, out_stride);
        }
      }
    }
  }
}

}  // namespace

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

void expand(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
            const std::uint32_t* offsets, std::int16_t* out, std::size_t plane) {
  run_expand<false>(in, stride, pixels, panels, {offsets, out, plane});
}

void expand_wide(const std::int16_t* in, std::size_t stride, int pixels, const Panels& panels,
                 const std::uint32_t* offsets, std::int16_t* out, std::size_t plane) {
  run_expand<true>(reinterpret_cast<const std::uint8_t*>(in), stride, pixels, panels, {offsets, out, plane});
}

POMONA_VNNI void project(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                         const Linear& linear, std::uint8_t* out, std::size_t out_stride) {
  const ToBytes sink{&linear, out, out_stride};
  int column = 0;
  for (; column + 4 <= panels.columns; column += 4) {
    run_panel<kRows, 4, false>(in, stride, pixels, panels, column, sink);
  }
  switch (panels.columns - column) {
    case 3:
      return run_panel<8, 3, false>(in, stride, pixels, panels, column, sink);
    case 2:
      return run_panel<2 * kRows, 2, false>(in, stride, pixels, panels, column, sink);
    case 1:
      return run_panel<2 * kRows, 1, false>(in, stride, pixels, panels, column, sink);
    default:
      return;
  }
}

void average(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels, float* out) {
  int column = 0;
  for (; column + 4 <= panels.columns; column += 4) {
    average_panel<4>(in, stride, pixels, panels, column, out + column * kColumns);
  }
  float* rest = out + column * kColumns;
  switch (panels.columns - column) {
    case 3:
      return average_panel<3>(in, stride, pixels, panels, column, rest);
    case 2:
      return average_panel<2>(in, stride, pixels, panels, column, rest);
    case 1:
      return average_panel<1>(in, stride, pixels, panels, column, rest);
    default:
      return;
  }
}

void depthwise(const std::int16_t* in, std::size_t plane, const std::int16_t* zero_row,
               const std::int32_t* rows, int out_rows, int out_width, const Taps& taps, std::uint8_t* out,
               std::size_t out_stride) {
  const auto strip = taps.size == 3 ? (taps.stride == 1 ? depthwise_strip<3, 1> : depthwise_strip<3, 2>)
                                    : (taps.stride == 1 ? depthwise_strip<5, 1> : depthwise_strip<5, 2>);
  strip(in, plane, zero_row, rows, out_rows, out_width, taps, out, out_stride);
}

POMONA_VNNI void widen_row(const std::uint8_t* in, int width, const std::int16_t* shift, std::int16_t* out) {
  const int values = width * 3;
  int at = 0;
  // 48 values, a multiple of three colours, so that the shifts stay where they are.
  for (; at + 48 <= values; at += 48) {
#pragma GCC unroll 3
    for (int part = 0; part < 48; part += 16) {
      const __m256i bytes =
          _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + at + part)));
      const __m256i means = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(shift + part));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at + part),
                          _mm256_sub_epi16(_mm256_slli_epi16(bytes, kPixelShift), means));
    }
  }
  for (; at < values; ++at) out[at] = static_cast<std::int16_t>((in[at] << kPixelShift) - shift[at % 3]);
}

POMONA_VNNI void gather(const std::int16_t* const* rows, int size, int step, int pixels, std::int16_t* out,
                        std::size_t stride) {
  const int values = size * 3;
  for (int pixel = 0; pixel < pixels; ++pixel) {
    std::int16_t* to = out + static_cast<std::size_t>(pixel) * (stride / sizeof(std::int16_t));
    for (int i = 0; i < size; ++i, to += values) {
      // One register whatever the size: what is too much is written over by what follows.
      _mm512_storeu_si512(to, _mm512_loadu_si512(rows[i] + static_cast<std::ptrdiff_t>(pixel) * step));
    }
  }
}

}  // namespace pomona::int8
