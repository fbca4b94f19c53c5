// SPDX-License-Identifier: Apache-2.0
#include <png.h>

#include "pomona/image/formats.h"
#include "pomona/image/png_session.h"

namespace pomona::formats {
namespace {

// What a 16-bit grey value becomes in Pillow: I;16 to RGB clips, it does not scale.
void grey16_row_to_rgb(const std::uint8_t* in, int width, std::uint8_t* out) {
  for (int x = 0; x < width; ++x, in += 2, out += 3) {
    const std::uint8_t value = in[0] != 0 ? 255 : in[1];
    out[0] = out[1] = out[2] = value;
  }
}

}  // namespace

Outcome<PhotoInfo> decode_png(std::span<const std::byte> bytes, const Request& request, Image& image) {
  const auto header = png_header(bytes);
  if (!header) return std::unexpected(header.error());
  if (auto fits = check_png_size(*header, bytes.size(), *request.options); !fits) {
    return std::unexpected(fits.error());
  }
  const auto width = static_cast<int>(header->width);
  const auto height = static_cast<int>(header->height);
  image.reset(width, height);
  std::uint8_t* rows = image.pixels.data();
  std::size_t stride = static_cast<std::size_t>(width) * 3;

  PngSession session(bytes, PngSession::Transparency::kDrop);
  const bool grey16 = header->colour == PNG_COLOR_TYPE_GRAY && header->depth == 16;
  if (grey16) {
    stride = static_cast<std::size_t>(width) * 2;
    request.scratch->resize(stride * static_cast<std::size_t>(height));
    rows = request.scratch->data();
  }
  if (!session.read(rows, stride, [&](png_structp png) {
        if (grey16) return;
        png_set_strip_16(png);
        png_set_expand(png);  // palette to RGB, 1, 2 and 4 bits to 8
        png_set_gray_to_rgb(png);
        png_set_strip_alpha(png);
      })) {
    return session.failure();
  }
  if (grey16) {
    for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
      grey16_row_to_rgb(rows + y * stride, width,
                        image.pixels.data() + y * static_cast<std::size_t>(width) * 3);
    }
  }
  return PhotoInfo{width, height};
}

}  // namespace pomona::formats
