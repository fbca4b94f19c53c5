// SPDX-License-Identifier: Apache-2.0
#pragma once

// The inner loops of IntegerNetwork, for AVX-512 with VNNI; internal to this folder. A map that a depthwise
// convolution reads is kept in 16-bit fixed point, kOne for 6.0, in planes of kLanes channels:
// [plane][row][column] [kLanes]. Maps of bytes are [pixel][channel].

#include <cstddef>
#include <cstdint>

#include "pomona/base/aligned.h"

namespace pomona::int8 {

constexpr int kLanes = 32;          // channels of a plane
constexpr int kColumns = 16;        // output channels of one register
constexpr int kOne = 32767;         // of the fixed point
constexpr int kPixelShift = 5;      // fraction bits of the stem's pixels
constexpr std::size_t kSlack = 64;  // bytes behind inputs that may be read

// True where this CPU can run them.
bool supported();

// A matrix in the order that the loops read it: panels of up to four registers of columns; in each, steps of
// four bytes (or two 16-bit values) of each column.
struct Panels {
  int columns = 0;               // registers in all
  int steps = 0;                 // of four bytes
  Aligned<std::int8_t> weights;  // columns x steps x 64
  Aligned<float> scale, bias;    // columns x kColumns
};

// Which output channel a place in a plane's two registers is for, so that packing them gives the natural
// order.
constexpr int channel_of_lane(int lane) {
  const int within = lane % kColumns;
  return within / 4 * 8 + within % 4 + (lane / kColumns) * 4;
}

// 1 x 1 convolution and ReLU6 of `pixels` rows of bytes, into fixed point: pixel p, plane c go to
// out + c * plane + offsets[p].
void expand(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
            const std::uint32_t* offsets, std::int16_t* out, std::size_t plane);

// The same of rows of 16-bit values, for the stem; `stride` in bytes.
void expand_wide(const std::int16_t* in, std::size_t stride, int pixels, const Panels& panels,
                 const std::uint32_t* offsets, std::int16_t* out, std::size_t plane);

// What goes with the bytes of a linear 1 x 1 convolution.
struct Linear {
  float inverse_step = 1;
  float zero = 0;
  const float* add = nullptr;  // a map of the same layout, or none
  float* keep = nullptr;       // where the sums go in floating point, or nowhere
  std::size_t stride = 0;      // floats between pixels, of both
};

// Linear 1 x 1 convolution into bytes, `out_stride` bytes between pixels.
void project(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels,
             const Linear& linear, std::uint8_t* out, std::size_t out_stride);

// 1 x 1 convolution, ReLU6, mean over the pixels: columns x kColumns floats.
void average(const std::uint8_t* in, std::size_t stride, int pixels, const Panels& panels, float* out);

// A depthwise convolution's numbers: sum of round(e * weight / 2^15), + bias, round(. * factor / 2^15), cut
// to a byte.
struct Taps {
  int size = 3, stride = 1;
  int planes = 0;
  Aligned<std::int16_t> weights;       // planes x size x size x kLanes
  Aligned<std::int16_t> bias, factor;  // planes x kLanes
};

// One strip of output rows. `rows[y * size + i]`: offset of the i-th input row of output row y within a
// plane, or kZeroRow. Output pixels follow each other, `out_stride` bytes apart.
constexpr std::int32_t kZeroRow = -1;
void depthwise(const std::int16_t* in, std::size_t plane, const std::int16_t* zero_row,
               const std::int32_t* rows, int out_rows, int out_width, const Taps& taps, std::uint8_t* out,
               std::size_t out_stride);

// A row of `width` RGB bytes into 16-bit values: (x << kPixelShift) - shift[x % 3].
void widen_row(const std::uint8_t* in, int width, const std::int16_t* shift, std::int16_t* out);

// For each of `pixels` outputs, `size` rows of size x 3 values side by side: rows[i] + p * step, `stride`
// bytes apart in `out`. Up to 32 values behind each row and 64 bytes behind `out` are touched.
void gather(const std::int16_t* const* rows, int size, int step, int pixels, std::int16_t* out,
            std::size_t stride);

}  // namespace pomona::int8
