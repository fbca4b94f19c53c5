// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "pomona/image/encode.h"
#include "pomona/image/rgba.h"

namespace pomona {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Image gradient(int width, int height) {
  Image image;
  image.reset(width, height);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::uint8_t>(i * 7 % 251);
  return image;
}

std::string reason(std::span<const std::byte> bytes, const DecodeOptions& options = {}) {
  Image image;
  const auto info = Decoder().decode(bytes, options, image);
  return info ? "decoded" : info.error().reason;
}

// 2 x 1 pixels, red and half transparent green.
constexpr std::array<std::uint8_t, 72> kPng = {
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49, 0x48, 0x44,
    0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0xF4,
    0x22, 0x7F, 0x8A, 0x00, 0x00, 0x00, 0x0F, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9C, 0x63, 0xF8,
    0xCF, 0xC0, 0xF0, 0x1F, 0x08, 0x1B, 0x00, 0x10, 0x79, 0x03, 0x7E, 0x7D, 0x63, 0xCE, 0xD7,
    0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82};

std::span<const std::byte> png() {
  return std::as_bytes(std::span(kPng));
}

TEST(Decode, ReadsWhatItIsNotWhatItIsCalled) {
  EXPECT_EQ(sniff_format(encode_jpeg(gradient(3, 2), 90)), "jpeg");
  EXPECT_EQ(sniff_format(png()), "png");
  EXPECT_EQ(sniff_format(as_bytes("RIFF\1\2\3\4WEBPVP8 ")), "webp");
  EXPECT_EQ(sniff_format(as_bytes(std::string_view("\0\0\0\x14"
                                                   "ftypavif\0\0\0\0mif1",
                                                   20))),
            "avif");
  EXPECT_EQ(sniff_format(as_bytes(std::string_view("\0\0\0\x14"
                                                   "ftypmif1\0\0\0\0avif",
                                                   20))),
            "avif");
  EXPECT_EQ(sniff_format(as_bytes(std::string_view("\0\0\0\x14"
                                                   "ftypmif1\0\0\0\0heic",
                                                   20))),
            "heic");
  EXPECT_FALSE(
      sniff_format(as_bytes(std::string_view("\0\0\0\x14"
                                             "ftypisom\0\0\0\0mp42",
                                             20))));
  EXPECT_FALSE(sniff_format({}));
}

TEST(Decode, GivesSizeAndPixels) {
  const Image original = gradient(33, 21);
  Image image;
  Decoder decoder;
  const auto info = decoder.decode(encode_jpeg(original, 100), {}, image);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->width, 33);
  EXPECT_EQ(info->height, 21);
  EXPECT_EQ(image.pixels.size(), 33U * 21 * 3);
}

TEST(Decode, DropsAlphaFromPng) {
  Image image;
  const auto info = Decoder().decode(png(), {}, image);
  ASSERT_TRUE(info) << info.error().reason;
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{255, 0, 0, 0, 255, 0}));
}

TEST(Decode, KeepsAlphaWhereAsked) {
  const auto image = decode_png_rgba(png());
  ASSERT_TRUE(image) << image.error().reason;
  EXPECT_EQ(image->width, 2);
  EXPECT_EQ(image->height, 1);
  EXPECT_EQ(image->pixels, (std::vector<std::uint8_t>{255, 0, 0, 255, 0, 255, 0, 128}));
  EXPECT_FALSE(decode_png_rgba(png().first(45)));
  EXPECT_FALSE(decode_png_rgba(as_bytes("no picture")));
}

TEST(Decode, SaysWhatIsWrong) {
  EXPECT_EQ(reason({}), "empty: the file holds zero bytes");
  EXPECT_THAT(reason(as_bytes("GIF89a")), HasSubstr("it is a GIF"));
  EXPECT_THAT(reason(as_bytes("hello, world")), StartsWith("not an image: it starts with 68 65 6c"));
  EXPECT_THAT(reason(as_bytes("x")), StartsWith("not an image"));
  EXPECT_THAT(reason(as_bytes("\xFF\xD8\xFF")), StartsWith("truncated"));
  EXPECT_THAT(reason(png().first(20)), StartsWith("truncated"));
  EXPECT_THAT(reason(as_bytes(std::string_view("RIFF\xFF\1\0\0WEBPVP8 ", 16))), StartsWith("truncated"));
}

TEST(Decode, RefusesATruncatedJpegAtTheRowWhereItEnds) {
  const auto whole = encode_jpeg(gradient(64, 64), 90);
  ASSERT_EQ(reason(whole), "decoded");
  const std::string why = reason(std::span(whole).first(whole.size() * 3 / 4));
  EXPECT_THAT(why, testing::MatchesRegex("truncated: the data ends at row [0-9]+ of 64"));
}

TEST(Decode, RefusesATruncatedJpegWithAnEndMarker) {
  auto cut = encode_jpeg(gradient(64, 64), 90);
  cut.resize(cut.size() * 3 / 4);
  cut.push_back(std::byte{0xFF});
  cut.push_back(std::byte{0xD9});
  EXPECT_THAT(reason(cut), StartsWith("truncated"));
}

TEST(Decode, RefusesAChecksumThatDiffers) {
  std::vector<std::byte> bad(png().begin(), png().end());
  bad[59] ^= std::byte{1};
  EXPECT_THAT(reason(bad), StartsWith("damaged"));
}

TEST(Decode, RefusesHugeSizesFromTheHeader) {
  auto jpeg = encode_jpeg(gradient(8, 8), 90);
  for (std::size_t at = 0; at + 8 < jpeg.size(); ++at) {
    if (jpeg[at] != std::byte{0xFF} || jpeg[at + 1] != std::byte{0xC0}) continue;
    for (std::size_t side : {at + 5, at + 7}) {  // 60,000
      jpeg[side] = std::byte{0xEA};
      jpeg[side + 1] = std::byte{0x60};
    }
    break;
  }
  EXPECT_THAT(reason(jpeg), StartsWith("too large: the header declares 60000 x 60000 pixels"));
  DecodeOptions boundless;
  boundless.max_pixels = ~std::uint64_t{0};
  EXPECT_THAT(reason(jpeg, boundless), HasSubstr("cannot hold"));

  std::vector<std::byte> tall(png().begin(), png().end());
  tall[18] = tall[22] = std::byte{0xEA};
  EXPECT_THAT(reason(tall), StartsWith("too large"));
  EXPECT_THAT(reason(tall, boundless), HasSubstr("cannot hold"));
}

TEST(Decode, ObeysTheLimitOfPixels) {
  DecodeOptions options;
  options.max_pixels = 63;
  EXPECT_THAT(reason(encode_jpeg(gradient(8, 8), 90), options), StartsWith("too large"));
  options.max_pixels = 64;
  EXPECT_EQ(reason(encode_jpeg(gradient(8, 8), 90), options), "decoded");
}

TEST(Decode, ScalesLargeJpegsDownButNotTooFar) {
  const auto jpeg = encode_jpeg(gradient(400, 300), 90);
  DecodeOptions options;
  options.target_width = 75;
  options.target_height = 75;
  Image image;
  const auto info = Decoder().decode(jpeg, options, image);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->width, 400);
  EXPECT_EQ(image.width, 200);
  EXPECT_EQ(image.height, 150);
  options.jpeg_scale = JpegScale::kOff;
  ASSERT_TRUE(Decoder().decode(jpeg, options, image));
  EXPECT_EQ(image.width, 400);
}

TEST(Decode, TheSamePhotoGivesTheSamePixelsAfterADamagedOne) {
  const auto good = encode_jpeg(gradient(40, 40), 80);
  Decoder decoder;
  Image first;
  Image again;
  ASSERT_TRUE(decoder.decode(good, {}, first));
  EXPECT_FALSE(decoder.decode(std::span(good).first(good.size() / 2), {}, again));
  ASSERT_TRUE(decoder.decode(good, {}, again));
  EXPECT_EQ(first.pixels, again.pixels);
}

TEST(Decode, SurvivesDamage) {
  const auto jpeg = encode_jpeg(gradient(50, 40), 80);
  const std::vector<std::byte> small_png(png().begin(), png().end());
  std::mt19937 random(3);
  Decoder decoder;
  Image image;
  int rejected = 0;
  for (int turn = 0; turn < 2000; ++turn) {
    std::vector<std::byte> bytes = turn % 2 == 0 ? jpeg : small_png;
    for (int hit = 0; hit < 1 + turn % 5; ++hit)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    const auto info = decoder.decode(bytes, {}, image);
    if (!info) {
      ++rejected;
      EXPECT_EQ(info.error().stage, Stage::kDecode);
      EXPECT_FALSE(info.error().reason.empty());
      EXPECT_EQ(info.error().reason.find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(rejected, 500);
}

}  // namespace
}  // namespace pomona
