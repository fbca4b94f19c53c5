// SPDX-License-Identifier: Apache-2.0
#pragma once

// The inner loops of the resizer, compiled once per instruction set; internal to this folder.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pomona::kernels {

// Weighted sums along one axis: output o is the sum of its taps, source positions first[o] and on, times
// 22-bit fixed-point coefficients. Taps come in chunks of four (the rest of a chunk weighs nothing); one
// chunk is four int32 words in the form the instruction set wants (see pack_chunk).
struct TapTable {
  int outputs = 0;
  int chunks = 0;                   // room per output
  std::vector<std::int32_t> first;  // outputs, rounded up to a multiple of 4
  std::vector<std::int32_t> used;   // chunks per output, at most `chunks`; as many as first
  std::vector<std::int32_t> words;  // those x chunks x 4
};

constexpr int kPrecisionBits = 32 - 8 - 2;  // Pillow's
constexpr std::size_t kPadding = 64;  // bytes that must be readable and writable behind rows, where said
constexpr int kRowGroup = 4;          // rows that the horizontal pass takes at a time

// Splits four coefficients into the words that the chosen instruction set multiplies exactly.
void pack_chunk(const std::int32_t* coefficients, std::int32_t* words);

// Horizontal pass over `rows` rows (a multiple of kRowGroup) of RGB. kPadding bytes behind the last source
// row are readable; every output row has room for the outputs rounded up to a multiple of 4, plus kPadding.
void resize_rows(const std::uint8_t* in, std::size_t in_stride, int rows, const TapTable& taps,
                 std::uint8_t* out, std::size_t out_stride);

// Vertical pass over rows of `row_bytes` bytes; `in` holds the source rows
// [in_begin, in_end). Where row_bytes < kPadding, rows of
// both sides have room for kPadding bytes.
void resize_columns(const std::uint8_t* in, std::size_t in_stride, int in_begin, int in_end,
                    std::size_t row_bytes, const TapTable& taps, std::uint8_t* out, std::size_t out_stride);

}  // namespace pomona::kernels
