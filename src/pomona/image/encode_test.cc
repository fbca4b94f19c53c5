// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/encode.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "pomona/base/error.h"
#include "pomona/image/decode.h"

namespace pomona {
namespace {

TEST(Encode, ComesBackNearlyEqual) {
  Image image;
  image.reset(40, 30);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::uint8_t>(60 + i / 40);
  Image back;
  ASSERT_TRUE(Decoder().decode(encode_jpeg(image, 95), {}, back));
  ASSERT_EQ(back.pixels.size(), image.pixels.size());
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    EXPECT_LE(std::abs(back.pixels[i] - image.pixels[i]), 8);
}

TEST(Encode, CarriesNoMetadata) {
  Image image;
  image.reset(8, 8);
  const auto jpeg = encode_jpeg(image, 50);
  for (std::size_t at = 2; at + 4 < jpeg.size() && jpeg[at] == std::byte{0xFF};) {
    const int marker = std::to_integer<int>(jpeg[at + 1]);
    if (marker == 0xDA) break;
    EXPECT_FALSE((marker >= 0xE1 && marker <= 0xEF) || marker == 0xFE) << marker;
    at += 2 + static_cast<std::size_t>(std::to_integer<int>(jpeg[at + 2]) * 256 +
                                       std::to_integer<int>(jpeg[at + 3]));
  }
}

TEST(Encode, RefusesWhatJpegCannotHold) {
  Image image;
  image.reset(2, 2);
  EXPECT_THROW(encode_jpeg(image, 0), Error);
  EXPECT_THROW(encode_jpeg(image, 101), Error);
  EXPECT_THROW(encode_jpeg(ImageView(0, 2, image.pixels.data()), 90), Error);
  EXPECT_THROW(encode_jpeg(ImageView(70'000, 1, image.pixels.data()), 90), Error);
}

}  // namespace
}  // namespace pomona
