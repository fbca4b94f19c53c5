// SPDX-License-Identifier: Apache-2.0
// Contributed photos: metadata is taken out, what shows stays. Input: the file.
#include "pomona/contributions/clean_photo.h"
#include "fuzz.h"
#include "pomona/image/decode.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Decoder decoder;
  const fuzz::Input input(data, size);
  const auto clean = clean_photo(input.bytes(), 1 << 20);
  if (!clean) return 0;
  DecodeOptions options;
  options.max_pixels = 1 << 20;
  Image image;
  const auto again = decoder.decode(clean->jpeg, options, image);
  fuzz::require(again.has_value(), "what was cleaned can no longer be decoded");
  fuzz::require(again->width == clean->width && again->height == clean->height,
                "the cleaned photo is of another size");
  const auto twice = clean_photo(clean->jpeg, 1 << 20);
  fuzz::require(twice && twice->jpeg == clean->jpeg, "cleaning twice is not cleaning once");
  return 0;
}
