// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/exif.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace pomona {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kExifHeader("Exif\0\0", 6);
constexpr std::string_view kXmpHeader("http://ns.adobe.com/xap/1.0/\0", 29);
constexpr std::string_view kPngXmpKeyword("XML:com.adobe.xmp\0", 18);

bool starts_with(Bytes bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

std::uint32_t byte_at(Bytes bytes, std::size_t at) {
  return std::to_integer<std::uint32_t>(bytes[at]);
}

// The caller has checked that `length` bytes are there.
std::uint32_t read_uint(Bytes bytes, std::size_t at, std::size_t length, bool big_endian) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < length; ++i) {
    value = (value << 8) | byte_at(bytes, at + (big_endian ? i : length - 1 - i));
  }
  return value;
}

int xmp_orientation(Bytes xmp) {
  const std::string_view text(reinterpret_cast<const char*>(xmp.data()), xmp.size());
  constexpr std::string_view kTag = "tiff:Orientation";
  for (std::size_t at = text.find(kTag); at != std::string_view::npos; at = text.find(kTag, at + 1)) {
    std::string_view rest = text.substr(at + kTag.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return 0;
}

struct Metadata {
  Bytes exif;
  Bytes xmp;
};

Metadata jpeg_metadata(Bytes bytes) {
  Metadata found;
  std::size_t at = 2;
  while (at + 4 <= bytes.size() && byte_at(bytes, at) == 0xFF) {
    const std::uint32_t marker = byte_at(bytes, at + 1);
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {  // no length follows
      at += 2;
      continue;
    }
    const std::size_t length = read_uint(bytes, at + 2, 2, true);
    if (length < 2 || at + 2 + length > bytes.size()) break;
    const Bytes body = bytes.subspan(at + 4, length - 2);
    if (marker == 0xE1 && found.exif.empty() && starts_with(body, kExifHeader)) found.exif = body;
    if (marker == 0xE1 && starts_with(body, kXmpHeader)) found.xmp = body.subspan(kXmpHeader.size());
    at += 2 + length;
  }
  return found;
}

Metadata png_metadata(Bytes bytes) {
  Metadata found;
  std::size_t at = 8;
  while (at + 12 <= bytes.size()) {
    const std::size_t length = read_uint(bytes, at, 4, true);
    if (length > bytes.size() - at - 12) break;
    const Bytes type = bytes.subspan(at + 4, 4);
    const Bytes body = bytes.subspan(at + 8, length);
    if (starts_with(type, "eXIf")) found.exif = body;
    if (starts_with(type, "iTXt") && starts_with(body, kPngXmpKeyword)) found.xmp = body;
    if (starts_with(type, "IEND")) break;
    at += 12 + length;
  }
  return found;
}

Metadata webp_metadata(Bytes bytes) {
  Metadata found;
  std::size_t at = 12;
  while (at + 8 <= bytes.size()) {
    const std::size_t length = read_uint(bytes, at + 4, 4, false);
    if (length > bytes.size() - at - 8) break;
    const Bytes type = bytes.subspan(at, 4);
    const Bytes body = bytes.subspan(at + 8, length);
    if (starts_with(type, "EXIF") && found.exif.empty()) found.exif = body;
    if (starts_with(type, "XMP ") && found.xmp.empty()) found.xmp = body;
    at += 8 + length + (length & 1);
  }
  return found;
}

struct Pixel {
  std::uint8_t red, green, blue;
};

// Writes rows of the turned picture one after the other: pixel (x, y) of it comes from
// origin + x * step_x + y * step_y. Goes in tiles, because a quarter turn reads along columns.
void turn(const Pixel* origin, std::ptrdiff_t step_x, std::ptrdiff_t step_y, int width, int height,
          Pixel* out) {
  constexpr int kTile = 32;
  for (int y0 = 0; y0 < height; y0 += kTile) {
    const int y1 = std::min(y0 + kTile, height);
    for (int x0 = 0; x0 < width; x0 += kTile) {
      const int x1 = std::min(x0 + kTile, width);
      for (int y = y0; y < y1; ++y) {
        Pixel* to = out + static_cast<std::ptrdiff_t>(y) * width + x0;
        const Pixel* from = origin + x0 * step_x + y * step_y;
        for (int x = x0; x < x1; ++x, from += step_x) *to++ = *from;
      }
    }
  }
}

}  // namespace

int tiff_orientation(Bytes tiff) {
  while (starts_with(tiff, kExifHeader)) tiff = tiff.subspan(kExifHeader.size());
  if (tiff.size() < 8) return 0;
  const bool big_endian = starts_with(tiff, "MM");
  if (!big_endian && !starts_with(tiff, "II")) return 0;
  if (read_uint(tiff, 2, 2, big_endian) != 42) return 0;
  const std::size_t directory = read_uint(tiff, 4, 4, big_endian);
  if (directory > tiff.size() - 2) return 0;
  const std::size_t entries = read_uint(tiff, directory, 2, big_endian);
  int orientation = 0;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > tiff.size()) break;
    if (read_uint(tiff, at, 2, big_endian) != 0x0112) continue;
    constexpr std::array<std::size_t, 5> kWidths = {0, 1, 0, 2, 4};  // BYTE, SHORT, LONG
    const std::uint32_t type = read_uint(tiff, at + 2, 2, big_endian);
    if (type >= kWidths.size() || kWidths[type] == 0 || read_uint(tiff, at + 4, 4, big_endian) != 1) continue;
    const std::uint32_t value = read_uint(tiff, at + 8, kWidths[type], big_endian);
    orientation = value <= 8 ? static_cast<int>(value) : 1;
  }
  return orientation;
}

int exif_orientation(std::string_view format, Bytes bytes) {
  Metadata found;
  if (format == "jpeg") found = jpeg_metadata(bytes);
  if (format == "png") found = png_metadata(bytes);
  if (format == "webp") found = webp_metadata(bytes);
  int orientation = tiff_orientation(found.exif);
  if (orientation == 0) orientation = xmp_orientation(found.xmp);
  return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

void apply_orientation(int orientation, Image& image, Image& scratch) {
  static_assert(sizeof(Pixel) == 3);
  if (orientation < 2 || orientation > 8 || image.pixels.empty()) return;
  const std::ptrdiff_t width = image.width;
  const std::ptrdiff_t height = image.height;
  const bool quarter = orientation >= 5;
  scratch.reset(quarter ? image.height : image.width, quarter ? image.width : image.height);
  const auto* in = reinterpret_cast<const Pixel*>(image.pixels.data());
  const Pixel* top_right = in + (width - 1);
  const Pixel* bottom_left = in + (height - 1) * width;
  const Pixel* bottom_right = bottom_left + (width - 1);
  struct Way {
    const Pixel* origin;
    std::ptrdiff_t step_x, step_y;
  };
  const std::array<Way, 7> ways = {{{top_right, -1, width},
                                    {bottom_right, -1, -width},
                                    {bottom_left, 1, -width},
                                    {in, width, 1},
                                    {bottom_left, -width, 1},
                                    {bottom_right, -width, -1},
                                    {top_right, width, -1}}};
  const Way& way = ways[static_cast<std::size_t>(orientation - 2)];
  turn(way.origin, way.step_x, way.step_y, scratch.width, scratch.height,
       reinterpret_cast<Pixel*>(scratch.pixels.data()));
  std::swap(image, scratch);
}

}  // namespace pomona
