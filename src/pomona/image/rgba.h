// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pomona/base/error.h"

namespace pomona {

// A picture with transparency, 8 bits a channel: row-major, height x width x 4 (red, green, blue, alpha; not
// premultiplied), rows without padding.
struct RgbaImage {
  int width = 0;   // pixels
  int height = 0;  // pixels
  std::vector<std::uint8_t> pixels;
};

// Decodes a PNG of any kind with its transparency (alpha channel or tRNS; 255 where it has none). Never
// throws for what the bytes hold. May be called from any thread.
Outcome<RgbaImage> decode_png_rgba(std::span<const std::byte> bytes);

}  // namespace pomona
