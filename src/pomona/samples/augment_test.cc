// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/augment.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <numbers>
#include <numeric>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/image/decode.h"
#include "pomona/image/encode.h"
#include "pomona/samples/textures.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = fs::temp_directory_path() / "augment-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

// A red disc on white, with what `paint` adds: paint(x, y) gives a colour or nothing.
template <typename Paint>
Image disc(int width, int height, int radius, const Paint& paint) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::array<int, 3> colour = {252, 253, 251};
      paint(x, y, colour);
      if (std::hypot(x - width / 2, y - height / 2) <= radius) colour = {180 - x % 20, 40, 30};
      if (std::hypot(x - width / 2 + 5, y - height / 2 + 5) <= 3) colour = {255, 255, 255};  // a highlight
      for (int c = 0; c < 3; ++c)
        image.pixels[static_cast<std::size_t>(3 * (y * width + x) + c)] =
            static_cast<std::uint8_t>(colour[static_cast<std::size_t>(c)]);
    }
  }
  return image;
}

Image disc(int size, int radius) {
  return disc(size, size, radius, [](int, int, std::array<int, 3>&) {});
}

Image jpeg_and_back(const Image& image, int quality) {
  Image result;
  Decoder().decode(encode_jpeg(image, quality), {}, result);
  return result;
}

double area(double radius) {
  return std::numbers::pi * radius * radius;
}

TEST(CutOut, FindsADiscAndItsHighlight) {
  const CutOut fruit = cut_out(jpeg_and_back(disc(100, 30), 80));
  ASSERT_TRUE(fruit.cut()) << fruit.left_because;
  EXPECT_NEAR(fruit.share * 100 * 100, area(30), 0.06 * area(30));
  EXPECT_NEAR(fruit.picture.width, 61, 4);
  const int middle = fruit.picture.width / 2;
  const auto alpha = [&](int x, int y) {
    return fruit.alpha[static_cast<std::size_t>(y * fruit.picture.width + x)];
  };
  EXPECT_EQ(alpha(middle, middle), 255);
  EXPECT_EQ(alpha(middle - 5, middle - 5), 255) << "the highlight is part of the fruit";
  EXPECT_EQ(alpha(0, 0), 0);
  int feathered = 0;
  for (const std::uint8_t a : fruit.alpha) feathered += a > 0 && a < 255 ? 1 : 0;
  EXPECT_GT(feathered, 60);
  // Wherever the fruit shows there is none of the white.
  for (std::size_t i = 0; i < fruit.alpha.size(); ++i) {
    const int x = static_cast<int>(i) % fruit.picture.width - middle + 5,
              y = static_cast<int>(i) / fruit.picture.width - middle + 5;
    if (fruit.alpha[i] == 0 || std::hypot(x, y) < 8) continue;
    EXPECT_LT(fruit.picture.pixels[3 * i + 1], 150)
        << i << " of " << fruit.picture.width << " alpha " << int{fruit.alpha[i]};
  }
}

TEST(CutOut, SoftShadowsAreBackground) {
  const Image photo = disc(200, 200, 50, [](int x, int y, std::array<int, 3>& colour) {
    const double fall = std::exp(-(std::pow((x - 100) / 60.0, 2) + std::pow((y - 155) / 22.0, 2)));
    for (int& c : colour) c -= static_cast<int>(70 * fall);
  });
  const CutOut fruit = cut_out(jpeg_and_back(photo, 90));
  ASSERT_TRUE(fruit.cut());
  EXPECT_NEAR(fruit.share * 200 * 200, area(50), 0.08 * area(50));
}

TEST(CutOut, SpecksBesideTheFruitGo) {
  const Image photo = disc(120, 120, 40, [](int x, int y, std::array<int, 3>& colour) {
    if (x >= 5 && x < 12 && y >= 110 && y < 114) colour = {0, 0, 0};
  });
  const CutOut fruit = cut_out(photo);
  ASSERT_TRUE(fruit.cut());
  EXPECT_LE(fruit.picture.width, 83);
}

TEST(CutOut, LeavesWhatHasNoWhiteBackground) {
  EXPECT_EQ(cut_out(make_texture(Texture::kLeaves, 3, 100)).left_because, "no white background");
  Image white;
  white.reset(60, 60);
  std::ranges::fill(white.pixels, std::uint8_t{255});
  EXPECT_EQ(cut_out(white).left_because, "nothing stands out from the white");
  const Image framed = disc(100, 100, 5, [](int x, int y, std::array<int, 3>& colour) {
    if (x > 10 && x < 90 && y > 10 && y < 90) colour = {30, 90, 40};
  });
  EXPECT_EQ(cut_out(framed).left_because, "a picture within a white frame");
  EXPECT_FALSE(cut_out(disc(8, 3)).cut());
}

TEST(CutOut, TakesAnyShapeOfPhoto) {
  for (const auto& [width, height] : {std::pair{16, 16}, {400, 17}, {17, 400}, {1, 1}}) {
    const CutOut fruit =
        cut_out(disc(width, height, std::min(width, height) / 3, [](int, int, std::array<int, 3>&) {}));
    EXPECT_EQ(fruit.alpha.size() * 3, fruit.picture.pixels.size());
  }
}

TEST(Textures, DifferByKindAndSeed) {
  for (const Texture texture : kTextures) {
    const Image a = make_texture(texture, 1, 64);
    EXPECT_EQ(a.pixels, make_texture(texture, 1, 64).pixels) << to_string(texture);
    EXPECT_NE(a.pixels, make_texture(texture, 2, 64).pixels) << to_string(texture);
  }
}

// Photos lose power with frequency: neighbours are far more alike than pixels far apart.
TEST(Textures, AreSmoothLikePhotos) {
  for (const Texture texture : kTextures) {
    double near = 0, far = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      const Image image = make_texture(texture, seed, 128);
      for (int y = 0; y < 128; y += 3) {
        for (int x = 0; x + 61 < 128; x += 3) {
          const std::uint8_t* p = image.pixels.data() + 3 * (y * 128 + x) + 1;
          near += std::pow(p[0] - p[3], 2);
          far += std::pow(p[0] - p[180], 2);
        }
      }
    }
    EXPECT_LT(near, 0.7 * far) << to_string(texture);
  }
}

TEST(Blur, KeepsTheMeanAndSpreads) {
  Image image;
  image.reset(65, 65);
  std::ranges::fill(image.pixels, std::uint8_t{40});
  for (int y = 24; y < 40; ++y) std::fill_n(image.pixels.begin() + 3 * (y * 65 + 24), 48, std::uint8_t{240});
  const auto mean = [](const Image& i) {
    return std::accumulate(i.pixels.begin(), i.pixels.end(), 0.0) / static_cast<double>(i.pixels.size());
  };
  for (const double sigma : {0.5, 1.0, 3.0, 7.0}) {
    Image soft = image;
    blur(soft, sigma);
    EXPECT_NEAR(mean(soft), mean(image), 0.6) << sigma;
    EXPECT_LT(soft.pixels[3 * (24 * 65 + 24)], 200) << sigma;
  }
  Image same = image;
  blur(same, 0.1);
  EXPECT_EQ(same.pixels, image.pixels);
}

TEST(Compose, ShowsTheFruitAndTheBackground) {
  const CutOut fruit = cut_out(disc(100, 45));
  Image blue;
  blue.reset(128, 128);
  for (std::size_t i = 0; i < blue.pixels.size(); ++i) blue.pixels[i] = i % 3 == 2 ? 160 : 60;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Image photo = compose(fruit, blue, seed);
    EXPECT_EQ(photo.pixels, compose(fruit, blue, seed).pixels);
    int red = 0, back = 0;
    for (std::size_t i = 0; i < photo.pixels.size(); i += 3) {
      red += photo.pixels[i] > photo.pixels[i + 2] + 30 ? 1 : 0;
      back += photo.pixels[i + 2] > photo.pixels[i] + 30 ? 1 : 0;
    }
    EXPECT_GT(red, 600) << seed;
    EXPECT_GT(red + back, 128 * 128 * 8 / 10) << seed;
  }
}

class AugmentPhotos : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 6; ++i)
      inputs_.push_back(add(std::to_string(i) + ".jpg", disc(80 + i, 30), i % 2 == 0 ? "pomme" : "a/b"));
  }

  AugmentInput add(const std::string& name, const Image& image, const std::string& label) {
    const auto bytes = encode_jpeg(image, 90);
    write_file_atomically(folder_.path / "in" / name,
                          {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return {(folder_.path / "in" / name).string(), label};
  }

  AugmentResult make(const std::string& name, int threads, std::uint64_t seed = 1) {
    AugmentOptions options;
    options.size = 64;
    options.variants = 2;
    options.threads = threads;
    options.seed = seed;
    options.backgrounds = backgrounds_;
    return augment_photos(inputs_, (folder_.path / name).string(), options, {});
  }

  std::map<std::string, std::string> files(const std::string& name) const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path / name)) {
      if (entry.is_regular_file())
        found[fs::relative(entry.path(), folder_.path / name)] = read_file(entry.path());
    }
    return found;
  }

  Folder folder_;
  std::vector<AugmentInput> inputs_;
  std::optional<std::string> backgrounds_;
};

TEST_F(AugmentPhotos, TheSameFilesForAnyNumberOfThreads) {
  const AugmentResult one = make("one", 1);
  EXPECT_EQ(one.photos.size(), 12u);
  EXPECT_EQ(one.cut, 6u);
  EXPECT_EQ(one.photos[3].source, 1u);
  EXPECT_EQ(one.photos[3].label, "a/b");
  EXPECT_TRUE(one.photos[3].path.ends_with("/one/a%2Fb/1_1.jpg")) << one.photos[3].path;
  make("four", 4);
  EXPECT_EQ(files("one").size(), 12u);
  EXPECT_EQ(files("one"), files("four"));
  make("other", 1, 2);
  EXPECT_NE(files("one"), files("other"));
  std::size_t bytes = 0;
  for (const auto& [name, content] : files("one")) bytes += content.size();
  EXPECT_EQ(one.bytes, bytes);
}

TEST_F(AugmentPhotos, CountsWhatItLeaves) {
  inputs_.push_back(add("leaves.jpg", make_texture(Texture::kLeaves, 3, 90), "x"));
  inputs_.push_back({(folder_.path / "absent.jpg").string(), "x"});
  write_file_atomically(folder_.path / "broken.jpg", "no photo");
  inputs_.push_back({(folder_.path / "broken.jpg").string(), "x"});
  const AugmentResult result = make("out", 2);
  EXPECT_EQ(result.photos.size(), 12u);
  EXPECT_EQ(result.no_white, 1u);
  EXPECT_EQ(result.unreadable, 2u);
}

TEST_F(AugmentPhotos, PhotosAsBackgrounds) {
  backgrounds_ = (folder_.path / "back").string();
  EXPECT_THROW(make("out", 1), Error);  // not there
  Image green;
  green.reset(150, 70);
  for (std::size_t i = 0; i < green.pixels.size(); ++i) green.pixels[i] = i % 3 == 1 ? 200 : 20;
  const auto bytes = encode_jpeg(green, 95);
  write_file_atomically(folder_.path / "back" / "broken.jpg", "no photo");
  try {
    make("out1", 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFormat);
  }
  write_file_atomically(folder_.path / "back" / "green.jpg",
                        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  make("one", 1);
  make("three", 3);
  EXPECT_EQ(files("one"), files("three"));
  std::size_t greens = 0;
  for (const auto& [name, content] : files("one")) {
    Image photo;
    ASSERT_TRUE(Decoder().decode(std::as_bytes(std::span(content)), {}, photo));
    EXPECT_EQ(photo.width, 64);
    for (std::size_t i = 0; i < photo.pixels.size(); i += 3)
      greens += photo.pixels[i + 1] > photo.pixels[i] + 40 ? 1 : 0;
  }
  EXPECT_GT(greens, 12u * 64 * 64 / 5);
}

TEST_F(AugmentPhotos, RefusesWhatCannotBe) {
  AugmentOptions options;
  EXPECT_THROW(augment_photos(inputs_, folder_.path.string(), options, {}), Error);  // holds the inputs
  options.variants = 0;
  EXPECT_THROW(augment_photos(inputs_, (folder_.path / "new").string(), options, {}), Error);
  options.variants = 1;
  options.size = 8;
  EXPECT_THROW(augment_photos(inputs_, (folder_.path / "new").string(), options, {}), Error);
  EXPECT_FALSE(parse_augment("textures"));
  EXPECT_EQ(parse_augment("backgrounds=some/where"), "some/where");
  EXPECT_THROW(parse_augment("backgrounds="), Error);
  EXPECT_THROW(parse_augment("mirrors"), Error);
}

TEST_F(AugmentPhotos, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  try {
    augment_photos(inputs_, (folder_.path / "stopped").string(), {}, {}, stop.get_token());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
}

}  // namespace
}  // namespace pomona
