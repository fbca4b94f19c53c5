// SPDX-License-Identifier: Apache-2.0
#pragma once

// A chain's numbers in the order and the fixed point that the kernels want; internal to this folder.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pomona/int8/kernels.h"
#include "pomona/int8/mobile_chain.h"

namespace pomona::int8 {

// Thrown where a chain's numbers have no room in the fixed point.
struct Refused {
  std::string why;
};

inline std::size_t size_of(int a, int b = 1, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

// The stem as it is computed: on (x - mean) of the pixels as they come, RGB, in 16-bit fixed point.
struct WideStem {
  Window window;
  Panels panels;
  std::array<std::int16_t, 48> shift{};  // the means, 16 times
  std::vector<float> limits;             // as limits()
  int row_values = 0;                    // of a widened row with its zeros
  int patch_bytes = 0;                   // of one output's inputs side by side
};

// A block and how its maps lie in memory.
struct PackedBlock {
  std::optional<Panels> expand;
  Taps taps;
  std::optional<Panels> project;
  Window window;
  bool adds_input = false;
  bool keeps = false;  // the next one adds this one's output
  float inverse_step = 1;
  float zero = 0;

  int planes = 0;
  int lanes = 0;                       // of a plane
  int columns = 0;                     // of the padded fixed-point map
  int ring = 0;                        // its rows that are there at once
  int strip = 0;                       // output rows computed at once
  std::vector<std::uint32_t> offsets;  // of two times `ring` rows of pixels
  std::size_t in_stride = 0;           // bytes of an input pixel
  std::size_t depthwise_stride = 0;    // of one behind the depthwise convolution
  std::size_t out_stride = 0;          // and of an output pixel
  std::size_t out_values = 0;          // in it

  std::size_t row() const { return size_of(columns, lanes); }
  std::size_t plane() const { return size_of(ring) * row(); }
};

// The following throw Refused.

WideStem pack_stem(const Stem& stem, const Pixels& pixels, const Layout& layout);

// `stem_limits`: of the stem's map, which the first block reads.
PackedBlock pack_block(const ChainBlock& block, const std::vector<float>& stem_limits, const Layout& layout);

// A 1 x 1 convolution whose sums stay in floating point.
Panels pack_linear(const Pointwise& one, const Layout& layout);

}  // namespace pomona::int8
