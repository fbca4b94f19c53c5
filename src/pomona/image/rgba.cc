// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/rgba.h"

#include <png.h>

#include <new>

#include "pomona/image/formats.h"
#include "pomona/image/png_session.h"

namespace pomona {

Outcome<RgbaImage> decode_png_rgba(std::span<const std::byte> bytes) {
  if (sniff_format(bytes) != "png") return formats::refuse("not a PNG");
  const auto header = formats::png_header(bytes);
  if (!header) return std::unexpected(header.error());
  if (auto fits = formats::check_png_size(*header, bytes.size(), DecodeOptions{}); !fits) {
    return std::unexpected(fits.error());
  }
  try {
    RgbaImage image{static_cast<int>(header->width), static_cast<int>(header->height), {}};
    const std::size_t stride = static_cast<std::size_t>(image.width) * 4;
    image.pixels.resize(stride * static_cast<std::size_t>(image.height));
    formats::PngSession session(bytes, formats::PngSession::Transparency::kKeep);
    if (!session.read(image.pixels.data(), stride, [](png_structp png) {
          png_set_strip_16(png);
          png_set_expand(png);  // palette to RGB, 1, 2 and 4 bits to 8, tRNS to alpha
          png_set_gray_to_rgb(png);
          png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
        })) {
      return session.failure();
    }
    return image;
  } catch (const std::bad_alloc&) {
    return formats::refuse("too large: there is not enough memory to decode it");
  }
}

}  // namespace pomona
