// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pomona/base/error.h"

namespace pomona {

// A photo that shows what it showed and says nothing else: a JPEG without place, device, time, profile,
// thumbnail, texts or anything behind its end.
struct CleanPhoto {
  std::vector<std::byte> jpeg;
  int width = 0;  // pixels, upright
  int height = 0;
};

// A JPEG keeps its picture data to the bit and its orientation as the only tag. Other formats are turned
// upright and become JPEG of quality 95. Rejects what cannot be decoded whole. Thread-safe.
Outcome<CleanPhoto> clean_photo(std::span<const std::byte> photo, std::uint64_t max_pixels);

}  // namespace pomona
