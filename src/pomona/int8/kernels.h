// SPDX-License-Identifier: Apache-2.0
#pragma once

// The inner loops of IntegerNetwork; internal to this folder. Written once (loops.h) and compiled for each
// instruction set (kernels_avx512.cc, kernels_avx2.cc): the same bits with all of them. A map that a
// depthwise convolution reads is kept in 16-bit fixed point, kOne for 6.0, in planes of as many channels as a
// register has 16-bit lanes: [plane][row][column][lane]. Maps of bytes are [pixel][channel], a byte in
// Layout::value_bytes.

#include <cstddef>
#include <cstdint>

#include "pomona/base/aligned.h"

namespace pomona::int8 {

constexpr int kOne = 32767;         // of the fixed point
constexpr int kPixelShift = 5;      // fraction bits of the stem's pixels
constexpr int kGathered = 32;       // values that gather() moves at once
constexpr std::size_t kSlack = 64;  // bytes behind inputs that may be read

// How an instruction set wants its numbers.
struct Layout {
  int columns = 0;              // output channels of one register of 32-bit sums
  int panel = 0;                // registers of columns that are computed at once, at most
  int value_bytes = 0;          // that a byte is kept in: 1 or 2
  std::size_t strip_bytes = 0;  // of a block's expanded map that are made at once

  constexpr int lanes() const { return 2 * columns; }  // channels of a plane
  constexpr int register_bytes() const { return 4 * columns; }

  // Which output channel a place in a plane's two registers is for, so that packing them, four at a time,
  // gives the natural order.
  constexpr int channel_of_lane(int lane) const {
    const int within = lane % columns;
    return within / 4 * 8 + within % 4 + lane / columns * 4;
  }
};

// A matrix in the order that the loops read it: panels of up to Layout::panel registers of columns; in each,
// steps of four bytes (or two 16-bit values) of each column.
struct Panels {
  int columns = 0;               // registers in all
  int steps = 0;                 // of four bytes
  Aligned<std::int8_t> weights;  // columns x steps registers
  Aligned<float> scale, bias;    // columns x Layout::columns
};

// What goes with the bytes of a linear 1 x 1 convolution.
struct Linear {
  float inverse_step = 1;
  float zero = 0;
  const float* add = nullptr;  // a map of the same layout, or none
  float* keep = nullptr;       // where the sums go in floating point, or nowhere
  std::size_t stride = 0;      // floats between pixels, of both
};

// A depthwise convolution's numbers: sum of round(e * weight / 2^15), + bias, round(. * factor / 2^15), cut
// to a byte.
struct Taps {
  int size = 3, stride = 1;
  int planes = 0;
  Aligned<std::int16_t> weights;       // planes x size x size x lanes
  Aligned<std::int16_t> bias, factor;  // planes x lanes
};

constexpr std::int32_t kZeroRow = -1;

// The loops for one instruction set. All strides are in bytes.
struct Kernels {
  Layout layout;

  // True where this CPU can run them.
  bool (*supported)();

  // 1 x 1 convolution and ReLU6 of `pixels` rows of bytes, into fixed point: pixel p, plane c go to
  // out + c * plane + offsets[p].
  void (*expand)(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                 const std::uint32_t* offsets, std::int16_t* out, std::size_t plane);

  // The same of rows of 16-bit values, for the stem.
  void (*expand_wide)(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                      const std::uint32_t* offsets, std::int16_t* out, std::size_t plane);

  // Linear 1 x 1 convolution into bytes, `out_stride` between pixels.
  void (*project)(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
                  const Linear& linear, std::uint8_t* out, std::size_t out_stride);

  // 1 x 1 convolution, ReLU6, mean over the pixels: a float for each column.
  void (*average)(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels, float* out);

  // One strip of output rows into bytes. `rows[y * size + i]`: offset of the i-th input row of output row y
  // within a plane, or kZeroRow. Output pixels follow each other, `out_stride` apart.
  void (*depthwise)(const std::int16_t* in, std::size_t plane, const std::int16_t* zero_row,
                    const std::int32_t* rows, int out_rows, int out_width, const Taps& taps,
                    std::uint8_t* out, std::size_t out_stride);

  // A row of `width` RGB bytes into 16-bit values: (x << kPixelShift) - shift[x % 3].
  void (*widen_row)(const std::uint8_t* in, int width, const std::int16_t* shift, std::int16_t* out);

  // For each of `pixels` outputs, `size` rows of size x 3 values side by side: rows[i] + p * step, `stride`
  // apart in `out`. Up to kGathered values behind each row and behind `out` are touched.
  void (*gather)(const std::int16_t* const* rows, int size, int step, int pixels, std::int16_t* out,
                 std::size_t stride);
};

const Kernels& avx512_kernels();  // AVX-512 with VNNI
const Kernels& avx2_kernels();    // AVX2 and FMA

}  // namespace pomona::int8
