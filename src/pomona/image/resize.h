// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "pomona/image/image.h"

namespace pomona {

// Pillow's resampling filters, antialiased when shrinking (nearest excepted).
enum class Kernel : std::uint8_t { kBicubic, kBilinear, kNearest };

// How a photo of another shape meets the network's square.
enum class Fit : std::uint8_t {
  kSquash,  // stretch both sides; the shape is lost (what the original work did)
  kCrop,    // cover, then cut the middle out (Pillow's ImageOps.fit)
  kPad,     // contain, centred on black (Pillow's ImageOps.pad)
};

std::string_view to_string(Kernel kernel);
std::string_view to_string(Fit fit);
Kernel parse_kernel(std::string_view name);  // Throws Error{kUsage} that lists the names.
Fit parse_fit(std::string_view name);        // Throws Error{kUsage} that lists the names.

// Resizes RGB pictures to the bit as Pillow 13 does: fixed-point coefficients, 8-bit intermediate between the
// two passes (Pillow's src/libImaging/Resample.c), the vertical pass first where the height shrinks by more
// than twice as many pixels as the width (older releases never do that). SIMD chosen at run time. Keeps
// coefficients and buffers between calls. Not thread-safe: one resizer per thread.
class Resizer {
 public:
  Resizer();
  ~Resizer();
  Resizer(Resizer&&) noexcept;
  Resizer& operator=(Resizer&&) noexcept;

  // Writes width x height x 3 bytes to `out` (row-major RGB, no padding; it may be an infer request's own
  // tensor). `source` must have at least one pixel; sizes must be at least 1.
  void resize(ImageView source, int width, int height, Kernel kernel, Fit fit, std::span<std::uint8_t> out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pomona
