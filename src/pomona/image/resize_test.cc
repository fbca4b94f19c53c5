// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <random>
#include <vector>

#include "pomona/base/error.h"

namespace pomona {
namespace {

Image noise(int width, int height) {
  Image image;
  image.reset(width, height);
  std::mt19937 random(static_cast<unsigned>(width * 1000 + height));
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>(random());
  return image;
}

std::vector<std::uint8_t> resized(const Image& image, int width, int height, Kernel kernel, Fit fit) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  Resizer().resize(image, width, height, kernel, fit, out);
  return out;
}

TEST(Resize, SameSizeIsACopy) {
  const Image image = noise(31, 17);
  for (Kernel kernel : {Kernel::kBicubic, Kernel::kBilinear, Kernel::kNearest}) {
    for (Fit fit : {Fit::kSquash, Fit::kCrop, Fit::kPad})
      EXPECT_EQ(resized(image, 31, 17, kernel, fit), image.pixels);
  }
}

TEST(Resize, OneColourStaysThatColour) {
  for (const int value : {0, 1, 128, 254, 255}) {
    Image image;
    image.reset(57, 91);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<std::uint8_t>(value));
    for (Kernel kernel : {Kernel::kBicubic, Kernel::kBilinear, Kernel::kNearest}) {
      for (const int side : {1, 20, 224}) {
        EXPECT_THAT(resized(image, side, side, kernel, Fit::kSquash), testing::Each(value));
      }
    }
  }
}

TEST(Resize, PadsWithBlack) {
  Image image;
  image.reset(20, 10);
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{200});
  const auto out = resized(image, 40, 40, Kernel::kBicubic, Fit::kPad);
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[20 * 40 * 3], 200);
  EXPECT_EQ(out[39 * 40 * 3], 0);
}

// Every instruction set that this machine has gives the same bytes.
TEST(Resize, InstructionSetsAgree) {
  struct Case {
    int width, height, to_width, to_height;
  };
  const std::vector<Case> cases = {
      {1, 1, 5, 4},     {100, 100, 224, 224}, {640, 480, 224, 224}, {3, 700, 40, 30},   {700, 3, 30, 40},
      {90, 90, 90, 33}, {90, 90, 33, 90},     {17, 400, 16, 20},    {3000, 20, 11, 19}, {22, 23, 21, 22}};
  const auto all = [&] {
    std::vector<std::vector<std::uint8_t>> results;
    for (const Case& c : cases) {
      for (Kernel kernel : {Kernel::kBicubic, Kernel::kBilinear}) {
        results.push_back(resized(noise(c.width, c.height), c.to_width, c.to_height, kernel, Fit::kSquash));
        results.push_back(resized(noise(c.width, c.height), c.to_width, c.to_height, kernel, Fit::kCrop));
      }
    }
    return results;
  };
  const auto targets = static_cast<std::int64_t>(hwy::SupportedTargets());
  const auto best = all();
  int tried = 0;
  for (std::int64_t rest = targets; rest != 0; rest &= rest - 1) {
    hwy::SetSupportedTargetsForTest(rest & -rest);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    EXPECT_EQ(all(), best) << hwy::TargetName(rest & -rest);
    ++tried;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  EXPECT_GE(tried, 1);
}

TEST(Resize, KeepsResultsApartWhenSizesAlternate) {
  Resizer resizer;
  const Image image = noise(64, 48);
  const auto expected = resized(image, 30, 30, Kernel::kBicubic, Fit::kSquash);
  std::vector<std::uint8_t> out(30 * 30 * 3);
  std::vector<std::uint8_t> other(std::size_t{200} * 200 * 3);
  for (int side = 1; side < 120; ++side) {  // more shapes than tables are kept
    resizer.resize(noise(side, side + 3), 200, 200, Kernel::kBilinear, Fit::kCrop, other);
    resizer.resize(image, 30, 30, Kernel::kBicubic, Fit::kSquash, out);
    ASSERT_EQ(out, expected);
  }
}

TEST(Resize, RefusesTooLittleRoom) {
  std::vector<std::uint8_t> out(10);
  EXPECT_THROW(Resizer().resize(noise(4, 4), 2, 2, Kernel::kBicubic, Fit::kSquash, out), Error);
  EXPECT_THROW(Resizer().resize(ImageView(), 1, 1, Kernel::kBicubic, Fit::kSquash, out), Error);
}

TEST(Resize, NamesRoundTrip) {
  for (Kernel kernel : {Kernel::kBicubic, Kernel::kBilinear, Kernel::kNearest}) {
    EXPECT_EQ(parse_kernel(to_string(kernel)), kernel);
  }
  for (Fit fit : {Fit::kSquash, Fit::kCrop, Fit::kPad}) EXPECT_EQ(parse_fit(to_string(fit)), fit);
  EXPECT_THROW(parse_fit("stretch"), Error);
  try {
    parse_kernel("lanczos");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "unknown resize kernel 'lanczos'; it is one of bicubic, bilinear, nearest");
  }
}

}  // namespace
}  // namespace pomona
