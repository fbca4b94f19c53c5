// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "pomona/image/image.h"

namespace pomona {

// What fruit lies on or hangs in front of.
enum class Texture : std::uint8_t {
  kPlain,     // a wall or sheet of paper, unevenly lit
  kGradient,  // from one colour to another
  kWood,      // boards with grain
  kCloth,     // a weave, some with checks or stripes, with folds
  kMarble,    // stone with veins
  kLeaves,    // leaves over leaves
  kClutter,   // occluding discs and boxes of all sizes, sharp or out of focus
  kClouds,    // coloured noise that falls off as 1/f
};

inline constexpr std::array kTextures = {Texture::kPlain,   Texture::kGradient, Texture::kWood,
                                         Texture::kCloth,   Texture::kMarble,   Texture::kLeaves,
                                         Texture::kClutter, Texture::kClouds};

std::string_view to_string(Texture texture);

// Draws a texture of `size` x `size` pixels; every seed another one. The
// statistics are those of photos (dead leaves: Lee, Mumford, Huang, Occlusion Models for Natural Images, IJCV
// 2001; 1/f noise: Field, JOSA A 1987). Thread-safe.
Image make_texture(Texture texture, std::uint64_t seed, int size);

// A background at random: a texture, or one above the other as a wall behind a table.
Image make_background(std::uint64_t seed, int size);

// Softens in place, about as a Gaussian of `sigma` pixels does (three box filters). Below 0.3: nothing.
void blur(Image& image, double sigma);

}  // namespace pomona
