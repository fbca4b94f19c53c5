// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pomona {

// An RGB picture, 8 bits a channel: row-major, height x width x 3, rows without padding.
struct Image {
  int width = 0;   // pixels
  int height = 0;  // pixels
  std::vector<std::uint8_t> pixels;

  // Sets the size; keeps the memory where it suffices. Contents are unspecified.
  void reset(int new_width, int new_height) {
    width = new_width;
    height = new_height;
    pixels.resize(static_cast<std::size_t>(new_width) * static_cast<std::size_t>(new_height) * 3);
  }
};

// A view of RGB pixels owned by someone else, laid out as in Image.
struct ImageView {
  int width = 0;
  int height = 0;
  const std::uint8_t* pixels = nullptr;

  ImageView() = default;
  ImageView(int w, int h, const std::uint8_t* p) : width(w), height(h), pixels(p) {}
  ImageView(const Image& image)  // NOLINT(google-explicit-constructor): a picture is its own view
      : width(image.width), height(image.height), pixels(image.pixels.data()) {}
};

}  // namespace pomona
