// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/clean_photo.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "pomona/contributions/test_photos.h"
#include "pomona/image/decode.h"
#include "pomona/image/exif.h"

namespace pomona {
namespace {

constexpr std::uint64_t kPixels = 1'000'000;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Image decoded(const std::vector<std::byte>& bytes) {
  Decoder decoder;
  Image image;
  EXPECT_TRUE(decoder.decode(bytes, {}, image));
  return image;
}

TEST(CleanPhoto, WhatAJpegTellsBesideItsPictureGoes) {
  const auto plain = test_jpeg(1, 64, 48);
  const auto photo = with_metadata(plain, 6);
  ASSERT_NE(text_of(photo).find("PlaceAndDevice"), std::string::npos);
  const auto clean = clean_photo(photo, kPixels);
  ASSERT_TRUE(clean);
  for (const char* word : {"PlaceAndDevice", "a comment", "behind the end", "ICC_PROFILE"})
    EXPECT_EQ(text_of(clean->jpeg).find(word), std::string::npos) << word;
}

TEST(CleanPhoto, PixelsAndOrientationStayAsTheyWere) {
  const auto photo = with_metadata(test_jpeg(2, 64, 48), 6);
  const auto clean = clean_photo(photo, kPixels);
  ASSERT_TRUE(clean);
  EXPECT_EQ(clean->width, 48);
  EXPECT_EQ(clean->height, 64);
  EXPECT_EQ(exif_orientation("jpeg", clean->jpeg), 6);
  EXPECT_EQ(decoded(clean->jpeg).pixels, decoded(photo).pixels);
}

TEST(CleanPhoto, AnUprightPhotoGetsNoTagAtAll) {
  const auto clean = clean_photo(with_metadata(test_jpeg(3, 40, 40), 1), kPixels);
  ASSERT_TRUE(clean);
  EXPECT_EQ(text_of(clean->jpeg).find("Exif"), std::string::npos);
}

TEST(CleanPhoto, DoneTwiceItIsTheSame) {
  const auto once = clean_photo(with_metadata(test_jpeg(4, 64, 48), 3), kPixels);
  ASSERT_TRUE(once);
  const auto twice = clean_photo(once->jpeg, kPixels);
  ASSERT_TRUE(twice);
  EXPECT_EQ(once->jpeg, twice->jpeg);
}

TEST(CleanPhoto, NeitherCutNorLargeNorForeignFilesAreTaken) {
  const auto photo = test_jpeg(5, 64, 48);
  for (std::size_t size = 0; size < photo.size(); size += 7)
    EXPECT_FALSE(clean_photo(std::span(photo).first(size), kPixels)) << size;
  EXPECT_FALSE(clean_photo(photo, 64 * 48 - 1));
  const std::string text = "<html>no photo</html>";
  EXPECT_FALSE(clean_photo(std::as_bytes(std::span(text.data(), text.size())), kPixels));
}

TEST(CleanPhoto, DamagedBytesNeverBreakIt) {
  const auto photo = with_metadata(test_jpeg(6, 32, 32), 8);
  std::uint32_t random = 1;
  for (int round = 0; round < 2000; ++round) {
    auto damaged = photo;
    for (int i = 0; i < 3; ++i) {
      random = random * 1664525 + 1013904223;
      damaged[(random >> 8) % damaged.size()] = static_cast<std::byte>(random >> 24);
    }
    const auto clean = clean_photo(damaged, kPixels);
    if (!clean) continue;
    EXPECT_EQ(text_of(clean->jpeg).find("behind the end"), std::string::npos);
  }
}

}  // namespace
}  // namespace pomona
