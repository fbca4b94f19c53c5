// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "pomona/image/image.h"

namespace pomona {

// The EXIF orientation (1 to 8) of a file of `format` ("jpeg", "png", "webp"): from its EXIF block, else from
// its XMP packet, as Pillow looks for it; 1 where there is none or it makes no sense. Reads nothing but
// `bytes`, whatever offsets they name. HEIC and AVIF turn themselves: 1.
int exif_orientation(std::string_view format, std::span<const std::byte> bytes);

// The orientation tag of a TIFF block ("II*\0" or "MM\0*"), 0 where there is none.
int tiff_orientation(std::span<const std::byte> tiff);

// Turns and mirrors `image` as the orientation says, so that it stands upright (Pillow's
// ImageOps.exif_transpose); `scratch` lends memory and holds no meaning afterwards.
void apply_orientation(int orientation, Image& image, Image& scratch);

}  // namespace pomona
