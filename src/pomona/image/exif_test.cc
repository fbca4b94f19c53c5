// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/exif.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace pomona {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string tiff(char orientation) {
  std::string block("MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0", 19);
  block += orientation;
  return block + std::string(6, '\0');
}

TEST(Exif, ReadsBothByteOrders) {
  EXPECT_EQ(tiff_orientation(as_bytes(tiff(6))), 6);
  const std::string little("II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0\3\0\0\0\0\0\0\0", 26);
  EXPECT_EQ(tiff_orientation(as_bytes(little)), 3);
  EXPECT_EQ(tiff_orientation(as_bytes(std::string("Exif\0\0", 6) + little)), 3);
}

TEST(Exif, SurvivesLies) {
  EXPECT_EQ(tiff_orientation({}), 0);
  const std::string good = tiff(6);
  for (std::size_t length = 0; length < 20; ++length)
    EXPECT_EQ(tiff_orientation(as_bytes(good.substr(0, length))), 0);
  std::string far = good;
  far[4] = far[5] = '\xFF';  // a directory four gigabytes away
  EXPECT_EQ(tiff_orientation(as_bytes(far)), 0);
  std::string many = good;
  many[8] = many[9] = '\xFF';  // 65,535 entries
  EXPECT_EQ(tiff_orientation(as_bytes(many)), 6);
  std::mt19937 random(1);
  for (int turn = 0; turn < 5000; ++turn) {
    std::string block = good;
    for (int hit = 0; hit < 3; ++hit) block[random() % block.size()] = static_cast<char>(random());
    const int orientation = tiff_orientation(as_bytes(block));
    EXPECT_GE(orientation, 0);
    EXPECT_LE(orientation, 8);
  }
}

TEST(Exif, TurnsAsTheTagSays) {
  // 1 2 3
  // 4 5 6
  const auto turned = [](int orientation) {
    Image image;
    Image scratch;
    image.reset(3, 2);
    for (std::size_t i = 0; i < 18; ++i) image.pixels[i] = static_cast<std::uint8_t>(i / 3 + 1);
    apply_orientation(orientation, image, scratch);
    std::string text = std::to_string(image.width) + ":";
    for (std::size_t i = 0; i < 18; i += 3) text += static_cast<char>('0' + image.pixels[i]);
    return text;
  };
  EXPECT_EQ(turned(1), "3:123456");
  EXPECT_EQ(turned(2), "3:321654");
  EXPECT_EQ(turned(3), "3:654321");
  EXPECT_EQ(turned(4), "3:456123");
  EXPECT_EQ(turned(5), "2:142536");
  EXPECT_EQ(turned(6), "2:415263");
  EXPECT_EQ(turned(7), "2:635241");
  EXPECT_EQ(turned(8), "2:362514");
}

}  // namespace
}  // namespace pomona
