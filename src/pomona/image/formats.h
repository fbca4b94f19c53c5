// SPDX-License-Identifier: Apache-2.0
#pragma once

// One decoder per file format; internal to this folder.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pomona/image/decode.h"

namespace pomona::formats {

// What a format's decoder needs beyond the caller's options.
struct Request {
  const DecodeOptions* options = nullptr;
  int orientation = 1;                           // as the file says; the decoder does not apply it
  std::vector<std::uint8_t>* scratch = nullptr;  // lent memory
};

// Each decodes `bytes` into `image`, not turned, and returns the size of the whole picture, not turned.
Outcome<PhotoInfo> decode_jpeg(std::span<const std::byte> bytes, const Request& request, Image& image);
Outcome<PhotoInfo> decode_png(std::span<const std::byte> bytes, const Request& request, Image& image);
Outcome<PhotoInfo> decode_webp(std::span<const std::byte> bytes, const Request& request, Image& image);
// Applies the file's own turns and mirrors where options.exif_orientation is on.
Outcome<PhotoInfo> decode_heif(std::span<const std::byte> bytes, const Request& request, Image& image);

// Nothing where a picture of this size may be decoded, else why not. To be asked before memory is taken.
Outcome<void> check_size(std::uint64_t width, std::uint64_t height, const DecodeOptions& options);

std::unexpected<Rejection> refuse(std::string reason);

}  // namespace pomona::formats
