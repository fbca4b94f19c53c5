// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/clean_photo.h"

#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "pomona/image/decode.h"
#include "pomona/image/encode.h"
#include "pomona/image/exif.h"

namespace pomona {
namespace {

using Bytes = std::span<const std::byte>;
constexpr int kQuality = 95;  // of photos that were no JPEG

void append(std::vector<std::byte>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <std::size_t N>
void append(std::vector<std::byte>& out, const std::array<unsigned char, N>& bytes) {
  append(out, std::as_bytes(std::span(bytes)));
}

bool starts_with(Bytes bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

// What a decoder needs to make the same pixels: tables, frame, scans, restart interval.
bool is_picture(unsigned marker) {
  const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC8;  // SOFn, DHT, DAC
  return frame || marker == 0xDB || marker == 0xDD;
}

void append_orientation(std::vector<std::byte>& out, int orientation) {
  const std::array<unsigned char, 36> segment = {
      0xFF, 0xE1, 0x00, 0x22, 'E',  'x',  'i',  'f',  0x00, 0x00,
      'M',  'M',  0x00, 0x2A, 0x00, 0x00, 0x00, 0x08, 0x00, 0x01,
      0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, static_cast<unsigned char>(orientation),
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  append(out, segment);
}

// Where the coded data that begin at `at` end: at the next marker that is no restart.
std::size_t end_of_scan(Bytes jpeg, std::size_t at) {
  for (; at + 1 < jpeg.size(); ++at) {
    if (jpeg[at] != std::byte{0xFF}) continue;
    const auto next = std::to_integer<unsigned>(jpeg[at + 1]);
    if (next != 0x00 && next != 0xFF && (next < 0xD0 || next > 0xD7)) return at;
  }
  return jpeg.size();
}

// None where the segments do not follow one another up to an end of image.
std::optional<std::vector<std::byte>> without_metadata(Bytes jpeg) {
  std::vector<std::byte> body;
  bool jfif = false;
  std::optional<Bytes> adobe;
  std::size_t at = 2;
  for (;;) {
    if (at + 2 > jpeg.size() || jpeg[at] != std::byte{0xFF}) return std::nullopt;
    const auto marker = std::to_integer<unsigned>(jpeg[at + 1]);
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xD9) break;
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {  // no length follows
      at += 2;
      continue;
    }
    if (at + 4 > jpeg.size()) return std::nullopt;
    const std::size_t length =
        std::to_integer<std::size_t>(jpeg[at + 2]) << 8 | std::to_integer<std::size_t>(jpeg[at + 3]);
    if (length < 2 || at + 2 + length > jpeg.size()) return std::nullopt;
    const Bytes content = jpeg.subspan(at + 4, length - 2);
    // These two say how colours are coded, so their presence counts; what else they may hold does not.
    if (marker == 0xE0 && starts_with(content, std::string_view("JFIF\0", 5))) jfif = true;
    if (marker == 0xEE && starts_with(content, "Adobe") && content.size() >= 12) adobe = content.first(12);
    if (is_picture(marker)) append(body, jpeg.subspan(at, 2 + length));
    if (marker == 0xDA) {
      const std::size_t end = end_of_scan(jpeg, at + 2 + length);
      append(body, jpeg.subspan(at, end - at));
      at = end;
      continue;
    }
    at += 2 + length;
  }
  std::vector<std::byte> out;
  out.reserve(body.size() + 128);
  append(out, std::array<unsigned char, 2>{0xFF, 0xD8});
  if (jfif) {
    append(out, std::array<unsigned char, 18>{0xFF, 0xE0, 0x00, 0x10, 'J', 'F', 'I', 'F', 0x00, 0x01, 0x01,
                                              0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00});
  }
  if (const int orientation = exif_orientation("jpeg", jpeg); orientation != 1)
    append_orientation(out, orientation);
  if (adobe) {
    append(out, std::array<unsigned char, 4>{0xFF, 0xEE, 0x00, 0x0E});
    // "Adobe", its version, two words of flags, the colour transform.
    append(out, *adobe);
  }
  append(out, body);
  append(out, std::array<unsigned char, 2>{0xFF, 0xD9});
  return out;
}

}  // namespace

Outcome<CleanPhoto> clean_photo(Bytes photo, std::uint64_t max_pixels) {
  DecodeOptions options;
  options.jpeg_scale = JpegScale::kOff;
  options.max_pixels = max_pixels;
  Decoder decoder;
  Image image;
  CleanPhoto clean;
  if (sniff_format(photo) == "jpeg") {
    auto jpeg = without_metadata(photo);
    if (!jpeg) return reject(Stage::kDecode, "the JPEG is cut off or damaged");
    // What is stored is what is checked.
    const auto info = decoder.decode(*jpeg, options, image);
    if (!info) return std::unexpected(info.error());
    return CleanPhoto{std::move(*jpeg), info->width, info->height};
  }
  const auto info = decoder.decode(photo, options, image);
  if (!info) return std::unexpected(info.error());
  if (info->width > 65'500 || info->height > 65'500)
    return reject(Stage::kDecode, "the photo is longer than 65,500 pixels on one side");
  clean.jpeg = encode_jpeg(image, kQuality);
  clean.width = info->width;
  clean.height = info->height;
  return clean;
}

}  // namespace pomona
