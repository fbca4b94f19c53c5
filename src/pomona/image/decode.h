// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "pomona/base/error.h"
#include "pomona/image/image.h"

namespace pomona {

enum class JpegScale : std::uint8_t {
  kAuto,  // decode at 1/2, 1/4 or 1/8 where the result is still at least twice the target on both sides
  kOff,   // always at full size
};

struct DecodeOptions {
  bool exif_orientation = true;  // turn and mirror as the EXIF tag says
  JpegScale jpeg_scale = JpegScale::kAuto;
  int target_width = 0;   // pixels, for JpegScale::kAuto; 0 = full size
  int target_height = 0;  // pixels, after orientation
  std::uint64_t max_pixels =
      178'956'970;  // refuse more: Pillow's limit against decompression bombs (2^29 / 3 bytes)
};

// What is known about a photo besides its pixels.
struct PhotoInfo {
  int width = 0;  // pixels of the file at full size, after orientation
  int height = 0;
};

// Decodes JPEG, PNG, WebP and, where the build has libheif, HEIC and AVIF to 8-bit RGB as Pillow's
// `Image.open(f).convert("RGB")` does, after `ImageOps.exif_transpose` where EXIF orientation is on.
// Keeps its buffers between calls. Not thread-safe: one decoder per thread.
class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // Decodes `bytes` into `image`. Never throws for what the bytes hold; a photo that cannot be decoded
  // whole (truncated, damaged, too large, of unknown format) is rejected with a sentence that says why.
  Outcome<PhotoInfo> decode(std::span<const std::byte> bytes, const DecodeOptions& options, Image& image);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "jpeg", "png", "webp", "heic", "avif", or nothing: judged by the first bytes, never by the name.
std::optional<std::string_view> sniff_format(std::span<const std::byte> bytes);

// True where the build can decode HEIC and AVIF.
bool has_heif();

}  // namespace pomona
