// SPDX-License-Identifier: Apache-2.0
#pragma once

// Photos for the tests of this folder.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pomona/image/encode.h"
#include "pomona/image/image.h"

namespace pomona {

// Another smooth picture for each seed.
inline std::vector<std::byte> test_jpeg(int seed, int width, int height) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.pixels[static_cast<std::size_t>((y * width + x) * 3 + c)] =
            static_cast<std::uint8_t>(x * (2 + c) + y * (1 + seed % 5) + 37 * seed * (c + 1));
      }
    }
  }
  return encode_jpeg(image, 90);
}

// The JPEG with an EXIF block (orientation and a text), a profile, a comment, and bytes behind its end.
inline std::vector<std::byte> with_metadata(const std::vector<std::byte>& jpeg, int orientation) {
  const auto segment = [](unsigned char marker, const std::string& content) {
    const std::size_t length = content.size() + 2;
    return std::string("\xFF") + static_cast<char>(marker) + static_cast<char>(length >> 8) +
           static_cast<char>(length & 255) + content;
  };
  std::string tiff("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 19);
  tiff += static_cast<char>(orientation);
  tiff += std::string(6, '\0') + "PlaceAndDevice";
  std::string extra = segment(0xE1, std::string("Exif\0\0", 6) + tiff) +
                      segment(0xE2, std::string("ICC_PROFILE\0\x01\x01", 14) + "profile") +
                      segment(0xFE, "a comment");
  std::vector<std::byte> out(jpeg.begin(), jpeg.begin() + 2);
  const auto put = [&out](const std::string& text) {
    for (const char c : text) out.push_back(static_cast<std::byte>(c));
  };
  put(extra);
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  put("behind the end");
  return out;
}

}  // namespace pomona
