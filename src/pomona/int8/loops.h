// SPDX-License-Identifier: Apache-2.0
#pragma once

// What kernels.h promises, for any instruction set; included by the one file of each. That file defines
// POMONA_TARGET, the instructions its functions may use: they carry them themselves, so that nothing else of
// the program needs more than its baseline. `Set` is a class of its own unnamed namespace, and everything
// here is a template of it, so that no two files' functions can be taken for each other:
//   supported                  as in Kernels
//   kPanel, kStripBytes        as in Layout
//   rows(registers)            pixels of a block with that many registers of columns
//   Value                      what a byte of a map is kept in
//   product, store_levels      of a depthwise convolution
//   multiply_add               of a 1 x 1 convolution: of bytes, or where kWide of 16-bit values
//   fused, relu6               of its sums; fused(a, b, c) is a * b + c
//   store_bytes, store_fixed   these rounded, for a 1 x 1 convolution or for a depthwise one
// and what it has from Vectors.

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "pomona/int8/kernels.h"

#define POMONA_KERNEL __attribute__((target(POMONA_TARGET)))
#define POMONA_KERNEL_INLINE __attribute__((always_inline, target(POMONA_TARGET))) inline

namespace pomona::int8 {

// What a register of so many bytes holds. `using` forgets a size that depends on a template in gcc 12.
template <int kBytes>
struct Vectors {
  static constexpr int kColumns = kBytes / 4;
  typedef std::int32_t Lanes __attribute__((vector_size(kBytes)));
  typedef std::int16_t Words __attribute__((vector_size(kBytes)));
  typedef float Floats __attribute__((vector_size(kBytes)));
};

// The registers of a block: each is named by a constant, never by a loop's variable, and holds 32-bit
// numbers, where __m512i holds eight of 64 bits. Otherwise gcc 12 keeps copies of all of them in memory.
template <typename Set, int N>
struct Registers {
  typename Set::Lanes of[N];
};

// Of M pixels times N registers of columns.
template <typename Set, int M, int N>
struct Sums {
  Registers<Set, N> of[M];
};

template <typename Set>
POMONA_KERNEL_INLINE typename Set::Lanes load(const std::int8_t* from) {
  return *reinterpret_cast<const typename Set::Lanes*>(from);
}

template <typename Set>
POMONA_KERNEL_INLINE typename Set::Words load(const std::int16_t* from) {
  return *reinterpret_cast<const typename Set::Words*>(from);
}

template <typename Set>
POMONA_KERNEL_INLINE typename Set::Floats load(const float* from) {
  return *reinterpret_cast<const typename Set::Floats*>(from);
}

template <typename Set>
POMONA_KERNEL_INLINE void store(float* to, typename Set::Floats value) {
  *reinterpret_cast<typename Set::Floats*>(to) = value;
}

template <typename Set>
POMONA_KERNEL_INLINE typename Set::Floats fill(float value) {
  return value - typename Set::Floats{};
}

template <typename Set>
POMONA_KERNEL_INLINE typename Set::Lanes four_bytes(const std::uint8_t* from) {
  std::int32_t word;
  std::memcpy(&word, from, sizeof word);
  return word - typename Set::Lanes{};
}

template <typename Set>
POMONA_KERNEL_INLINE typename Set::Floats scaled(typename Set::Lanes sum, const float* scale,
                                                 const float* bias) {
  return Set::fused(__builtin_convertvector(sum, typename Set::Floats), load<Set>(scale), load<Set>(bias));
}

template <typename Set, bool kWide, int N, std::size_t... n>
POMONA_KERNEL_INLINE void pixel_step(Registers<Set, N>& sums, const std::uint8_t* in,
                                     const Registers<Set, N>& weights, std::index_sequence<n...>) {
  const typename Set::Lanes pixel = four_bytes<Set>(in);
  ((sums.of[n] = Set::template multiply_add<kWide>(sums.of[n], pixel, weights.of[n])), ...);
}

template <typename Set, bool kWide, int M, int N, std::size_t... m, std::size_t... n>
POMONA_KERNEL_INLINE void step(Sums<Set, M, N>& sums, const std::uint8_t* in, std::size_t stride,
                               const std::int8_t* weights, std::index_sequence<m...>,
                               std::index_sequence<n...> columns) {
  Registers<Set, N> loaded;
  ((loaded.of[n] = load<Set>(weights + sizeof(typename Set::Lanes) * n)), ...);
  (pixel_step<Set, kWide>(sums.of[m], in + m * stride, loaded, columns), ...);
}

template <typename Set, int N, std::size_t... n>
POMONA_KERNEL_INLINE void clear(Registers<Set, N>& sums, std::index_sequence<n...>) {
  ((sums.of[n] = typename Set::Lanes{}), ...);
}

template <typename Set, int M, int N, std::size_t... m>
POMONA_KERNEL_INLINE void clear(Sums<Set, M, N>& sums, std::index_sequence<m...>) {
  (clear(sums.of[m], std::make_index_sequence<N>()), ...);
}

template <typename Set, bool kWide, int M, int N>
POMONA_KERNEL_INLINE Sums<Set, M, N> dots(const std::uint8_t* in, std::size_t stride, int steps,
                                          const std::int8_t* weights) {
  Sums<Set, M, N> sums;
  clear(sums, std::make_index_sequence<M>());
  for (int at = 0; at < steps; ++at, weights += sizeof(typename Set::Lanes) * N, in += 4) {
    step<Set, kWide>(sums, in, stride, weights, std::make_index_sequence<M>(), std::make_index_sequence<N>());
  }
  return sums;
}

// What becomes of the sums of one pixel. `column`: the first register's place among all.
template <typename Set>
struct ToFixedPoint {
  const std::uint32_t* offsets;
  std::int16_t* out;
  std::size_t plane;

  template <int N>
  POMONA_KERNEL_INLINE void operator()(const Registers<Set, N>& sums, int pixel, int column,
                                       const float* scale, const float* bias) const {
    static_assert(N % 2 == 0);
    pair<0>(sums, pixel, column, scale, bias);
    if constexpr (N > 2) pair<2>(sums, pixel, column, scale, bias);
  }

 private:
  template <int n, int N>
  POMONA_KERNEL_INLINE void pair(const Registers<Set, N>& sums, int pixel, int column, const float* scale,
                                 const float* bias) const {
    constexpr int kLow = n * Set::kColumns, kHigh = (n + 1) * Set::kColumns;
    Set::store_fixed(out + static_cast<std::size_t>((column + n) / 2) * plane + offsets[pixel],
                     scaled<Set>(sums.of[n], scale + kLow, bias + kLow),
                     scaled<Set>(sums.of[n + 1], scale + kHigh, bias + kHigh));
  }
};

template <typename Set>
struct ToBytes {
  const Linear* linear;
  std::uint8_t* out;
  std::size_t stride;

  template <int N>
  POMONA_KERNEL_INLINE void operator()(const Registers<Set, N>& sums, int pixel, int column,
                                       const float* scale, const float* bias) const {
    one<0>(sums, pixel, column, scale, bias);
    if constexpr (N > 1) one<1>(sums, pixel, column, scale, bias);
    if constexpr (N > 2) one<2>(sums, pixel, column, scale, bias);
    if constexpr (N > 3) one<3>(sums, pixel, column, scale, bias);
  }

 private:
  template <int n, int N>
  POMONA_KERNEL_INLINE void one(const Registers<Set, N>& sums, int pixel, int column, const float* scale,
                                const float* bias) const {
    const auto row = static_cast<std::size_t>(pixel);
    const auto lane = static_cast<std::size_t>(column + n) * Set::kColumns;
    const std::size_t at = row * linear->stride + lane;
    typename Set::Floats value = scaled<Set>(sums.of[n], scale + n * Set::kColumns, bias + n * Set::kColumns);
    if (linear->add != nullptr) value = value + load<Set>(linear->add + at);
    if (linear->keep != nullptr) store<Set>(linear->keep + at, value);
    const auto level = Set::fused(value, fill<Set>(linear->inverse_step), fill<Set>(linear->zero));
    Set::store_bytes(reinterpret_cast<typename Set::Value*>(out + row * stride) + lane, level);
  }
};

template <typename Set, int N>
struct Totals {
  typename Set::Floats of[N];
};

// Sums ReLU6 over the pixels.
template <typename Set, int N>
struct ToTotals {
  Totals<Set, N>* totals;

  POMONA_KERNEL_INLINE void operator()(const Registers<Set, N>& sums, int, int, const float* scale,
                                       const float* bias) const {
    add<0>(sums, scale, bias);
    if constexpr (N > 1) add<1>(sums, scale, bias);
    if constexpr (N > 2) add<2>(sums, scale, bias);
    if constexpr (N > 3) add<3>(sums, scale, bias);
  }

 private:
  template <int n>
  POMONA_KERNEL_INLINE void add(const Registers<Set, N>& sums, const float* scale, const float* bias) const {
    const auto value = scaled<Set>(sums.of[n], scale + n * Set::kColumns, bias + n * Set::kColumns);
    totals->of[n] = totals->of[n] + Set::relu6(value);
  }
};

// M pixels from `pixel` on.
template <typename Set, bool kWide, int M, int N, typename Sink, std::size_t... m>
POMONA_KERNEL_INLINE void run_block(const std::uint8_t* in, std::size_t stride, int steps,
                                    const std::int8_t* weights, const Sink& sink, int pixel, int column,
                                    const float* scale, const float* bias, std::index_sequence<m...>) {
  const Sums<Set, M, N> sums =
      dots<Set, kWide, M, N>(in + static_cast<std::size_t>(pixel) * stride, stride, steps, weights);
  (sink(sums.of[m], pixel + static_cast<int>(m), column, scale, bias), ...);
}

// Runs `sink` over one panel of N registers: a block of pixels at a time, then what is left.
template <typename Set, bool kWide, int N, typename Sink>
POMONA_KERNEL_INLINE void run_panel(const std::uint8_t* in, std::size_t stride, int pixels,
                                    const Panels& panels, int column, const Sink& sink) {
  constexpr int M = Set::rows(N);
  const std::int8_t* weights = panels.weights.get() + static_cast<std::size_t>(column) *
                                                          static_cast<std::size_t>(panels.steps) *
                                                          sizeof(typename Set::Lanes);
  const float* scale = panels.scale.get() + column * Set::kColumns;
  const float* bias = panels.bias.get() + column * Set::kColumns;
  int pixel = 0;
  for (; pixel + M <= pixels; pixel += M) {
    run_block<Set, kWide, M, N>(in, stride, panels.steps, weights, sink, pixel, column, scale, bias,
                                std::make_index_sequence<M>());
  }
  for (; pixel + 2 <= pixels; pixel += 2) {
    run_block<Set, kWide, 2, N>(in, stride, panels.steps, weights, sink, pixel, column, scale, bias,
                                std::make_index_sequence<2>());
  }
  if (pixel < pixels) {
    run_block<Set, kWide, 1, N>(in, stride, panels.steps, weights, sink, pixel, column, scale, bias,
                                std::make_index_sequence<1>());
  }
}

// From `column` on, panels of N registers; then what is left, in ever narrower panels, by kLeast registers.
template <typename Set, bool kWide, int N, int kLeast, typename Sink>
POMONA_KERNEL void run_panels(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                              int column, const Sink& sink) {
  for (; column + N <= panels.columns; column += N) {
    run_panel<Set, kWide, N>(in, stride, pixels, panels, column, sink);
  }
  if constexpr (N > kLeast) {
    if (column < panels.columns) {
      run_panels<Set, kWide, N - kLeast, kLeast>(in, stride, pixels, panels, column, sink);
    }
  }
}

template <typename Set, bool kWide>
void expand(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
            const std::uint32_t* offsets, std::int16_t* out, std::size_t plane) {
  run_panels<Set, kWide, Set::kPanel, 2>(in, stride, pixels, panels, 0,
                                         ToFixedPoint<Set>{offsets, out, plane});
}

template <typename Set>
void project(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
             const Linear& linear, std::uint8_t* out, std::size_t out_stride) {
  run_panels<Set, false, Set::kPanel, 1>(in, stride, pixels, panels, 0,
                                         ToBytes<Set>{&linear, out, out_stride});
}

template <typename Set, int N>
POMONA_KERNEL void average_panels(const std::uint8_t* in, std::size_t stride, int pixels,
                                  const Panels& panels, int column, float* out) {
  const typename Set::Floats count = fill<Set>(static_cast<float>(pixels));
  for (; column + N <= panels.columns; column += N) {
    Totals<Set, N> totals;
    for (auto& total : totals.of) total = fill<Set>(0);
    run_panel<Set, false, N>(in, stride, pixels, panels, column, ToTotals<Set, N>{&totals});
    for (int n = 0; n < N; ++n) store<Set>(out + (column + n) * Set::kColumns, totals.of[n] / count);
  }
  if constexpr (N > 1) average_panels<Set, N - 1>(in, stride, pixels, panels, column, out);
}

template <typename Set>
void average(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels, float* out) {
  average_panels<Set, Set::kPanel>(in, stride, pixels, panels, 0, out);
}

// X neighbouring output columns of one row in one plane.
template <typename Set, int K, int S, int X>
POMONA_KERNEL_INLINE void depthwise_block(const std::int16_t* const* rows, std::ptrdiff_t at,
                                          const std::int16_t* weights, typename Set::Words bias,
                                          typename Set::Words factor, std::uint8_t* out,
                                          std::size_t out_stride) {
  using Words = typename Set::Words;
  constexpr std::ptrdiff_t kLanes = 2 * Set::kColumns;
  Words sums[X];
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) sums[x] = Words{};
#pragma GCC unroll 5
  for (int i = 0; i < K; ++i) {
    Words tap[K];
#pragma GCC unroll 5
    for (int j = 0; j < K; ++j) tap[j] = load<Set>(weights + (i * K + j) * kLanes);
#pragma GCC unroll 16
    for (int column = 0; column < (X - 1) * S + K; ++column) {
      const Words value = load<Set>(rows[i] + at + column * kLanes);
#pragma GCC unroll 4
      for (int x = 0; x < X; ++x) {
        const int j = column - x * S;
        if (j >= 0 && j < K) sums[x] = sums[x] + Set::product(value, tap[j]);
      }
    }
  }
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) {
    Set::store_levels(reinterpret_cast<typename Set::Value*>(out + static_cast<std::size_t>(x) * out_stride),
                      sums[x], bias, factor);
  }
}

template <typename Set, int K, int S>
POMONA_KERNEL void depthwise_strip(const std::int16_t* in, std::size_t plane, const std::int16_t* zero_row,
                                   const std::int32_t* rows, int out_rows, int out_width, const Taps& taps,
                                   std::uint8_t* out, std::size_t out_stride) {
  constexpr int kAtOnce = 4;
  constexpr std::ptrdiff_t kLanes = 2 * Set::kColumns;
  for (int c = 0; c < taps.planes; ++c) {
    const std::int16_t* from = in + static_cast<std::size_t>(c) * plane;
    const std::int16_t* weights = taps.weights.get() + static_cast<std::ptrdiff_t>(c) * K * K * kLanes;
    const auto bias = load<Set>(taps.bias.get() + c * kLanes);
    const auto factor = load<Set>(taps.factor.get() + c * kLanes);
    for (int y = 0; y < out_rows; ++y) {
      const std::int16_t* window[K];
      for (int i = 0; i < K; ++i) {
        const std::int32_t offset = rows[y * K + i];
        window[i] = offset == kZeroRow ? zero_row : from + offset;
      }
      std::uint8_t* to = out +
                         static_cast<std::size_t>(y) * static_cast<std::size_t>(out_width) * out_stride +
                         static_cast<std::size_t>(c) * kLanes * sizeof(typename Set::Value);
      if (out_width >= kAtOnce) {
        for (int x = 0; x < out_width; x += kAtOnce) {
          // The last ones are computed again where the width is no multiple.
          const int first = std::min(x, out_width - kAtOnce);
          depthwise_block<Set, K, S, kAtOnce>(window, static_cast<std::ptrdiff_t>(first) * S * kLanes,
                                              weights, bias, factor,
                                              to + static_cast<std::size_t>(first) * out_stride, out_stride);
        }
      } else {
        for (int x = 0; x < out_width; ++x) {
          depthwise_block<Set, K, S, 1>(window, static_cast<std::ptrdiff_t>(x) * S * kLanes, weights, bias,
                                        factor, to + static_cast<std::size_t>(x) * out_stride, out_stride);
        }
      }
    }
  }
}

template <typename Set>
void depthwise(const std::int16_t* in, std::size_t plane, const std::int16_t* zero_row,
               const std::int32_t* rows, int out_rows, int out_width, const Taps& taps, std::uint8_t* out,
               std::size_t out_stride) {
  const auto strip = taps.size == 3
                         ? (taps.stride == 1 ? depthwise_strip<Set, 3, 1> : depthwise_strip<Set, 3, 2>)
                         : (taps.stride == 1 ? depthwise_strip<Set, 5, 1> : depthwise_strip<Set, 5, 2>);
  strip(in, plane, zero_row, rows, out_rows, out_width, taps, out, out_stride);
}

// 256-bit registers whatever the set: it is not worth more.
template <typename Set>
POMONA_KERNEL void widen_row(const std::uint8_t* in, int width, const std::int16_t* shift,
                             std::int16_t* out) {
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

template <typename Set>
POMONA_KERNEL void gather(const std::int16_t* const* rows, int size, int step, int pixels, std::int16_t* out,
                          std::size_t stride) {
  const int values = size * 3;
  for (int pixel = 0; pixel < pixels; ++pixel) {
    std::int16_t* to = out + static_cast<std::size_t>(pixel) * (stride / sizeof(std::int16_t));
    for (int i = 0; i < size; ++i, to += values) {
      // As many whatever the size: what is too much is written over by what follows.
      std::memcpy(to, rows[i] + static_cast<std::ptrdiff_t>(pixel) * step, kGathered * sizeof *to);
    }
  }
}

template <typename Set>
constexpr Kernels kernels_of() {
  return {{Set::kColumns, Set::kPanel, sizeof(typename Set::Value), Set::kStripBytes},
          Set::supported,
          expand<Set, false>,
          expand<Set, true>,
          project<Set>,
          average<Set>,
          depthwise<Set>,
          widen_row<Set>,
          gather<Set>};
}

}  // namespace pomona::int8
