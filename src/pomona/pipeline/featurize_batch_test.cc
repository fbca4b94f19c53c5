// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/featurize_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "pomona/base/error.h"
#include "pomona/image/encode.h"
#include "pomona/model/tiny_network.h"
#include "pomona/storage/storage_test_support.h"

namespace pomona {
namespace {

using ::testing::HasSubstr;
using Vector = std::vector<float>;

constexpr int kWidth = 37;
constexpr int kHeight = 23;

Network network(int batch) {
  NetworkOptions options;
  options.model = testing::write_onnx(testing::tiny_network(), "batch.onnx").string();
  options.preprocess = "tf";
  options.precision = Precision::kF32;
  options.input_size = 32;
  options.batch = batch;
  options.compile_cache = false;
  return Network::load(options);
}

Image picture(int seed) {
  Image image;
  image.reset(kWidth, kHeight);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    image.pixels[i] =
        static_cast<std::uint8_t>((i * 7 + i / 111 * 13 + static_cast<std::size_t>(seed) * 41) % 251);
  }
  return image;
}

RawPixels view(const Image& image) {
  return {.width = image.width,
          .height = image.height,
          .pixels = image.pixels.data(),
          .row_bytes = 3 * static_cast<std::size_t>(image.width)};
}

// Row `i` of n vectors.
Vector row(const Vector& vectors, std::size_t i, std::size_t d) {
  return {vectors.begin() + static_cast<std::ptrdiff_t>(i * d),
          vectors.begin() + static_cast<std::ptrdiff_t>((i + 1) * d)};
}

class FeaturizeBatch : public ::testing::Test {
 protected:
  Vector vectors(const BatchFeaturizer& featurizer, const std::vector<PhotoSource>& photos) {
    Vector out(photos.size() * static_cast<std::size_t>(featurizer.network().dimension()));
    outcomes_ = featurizer.featurize(photos, out);
    return out;
  }
  std::vector<Outcome<PhotoInfo>> outcomes_;
};

TEST_F(FeaturizeBatch, BytesPixelsAndPathsOfOnePictureGiveOneVector) {
  const testing::TemporaryFolder folder;
  const std::vector<std::byte> jpeg = encode_jpeg(picture(1), 95);
  const std::string path =
      folder.add("a.jpg", std::string(reinterpret_cast<const char*>(jpeg.data()), jpeg.size()));
  Image decoded;
  ASSERT_TRUE(Decoder().decode(jpeg, {}, decoded));
  const BatchFeaturizer featurizer(network(4), 2);
  const auto d = static_cast<std::size_t>(featurizer.network().dimension());
  const Vector all = vectors(featurizer, {std::span(jpeg), path, view(decoded)});
  for (const auto& outcome : outcomes_) {
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->width, kWidth);
    EXPECT_EQ(outcome->height, kHeight);
  }
  EXPECT_EQ(row(all, 0, d), row(all, 1, d));
  EXPECT_EQ(row(all, 0, d), row(all, 2, d));
}

TEST_F(FeaturizeBatch, OtherOrdersOfPixelsAreTurnedIntoRgb) {
  const Image image = picture(2);
  Image grey = image;  // as RGB with three equal channels
  std::vector<std::uint8_t> bgr, rgba, single;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    const auto* p = &image.pixels[i];
    bgr.insert(bgr.end(), {p[2], p[1], p[0]});
    rgba.insert(rgba.end(), {p[0], p[1], p[2], static_cast<std::uint8_t>(i)});
    single.push_back(p[1]);
    grey.pixels[i] = grey.pixels[i + 2] = p[1];
  }
  // Rows that end in bytes of nobody's.
  constexpr std::size_t kStride = 3 * kWidth + 5;
  std::vector<std::uint8_t> padded(kStride * kHeight, 255);
  for (std::size_t y = 0; y < kHeight; ++y) {
    std::copy_n(image.pixels.begin() + static_cast<std::ptrdiff_t>(y * 3 * kWidth), 3 * kWidth,
                padded.begin() + static_cast<std::ptrdiff_t>(y * kStride));
  }
  const auto raw = [](int channels, bool reversed, const std::vector<std::uint8_t>& pixels,
                      std::size_t stride) {
    return RawPixels{.width = kWidth,
                     .height = kHeight,
                     .channels = channels,
                     .bgr = reversed,
                     .pixels = pixels.data(),
                     .row_bytes = stride};
  };
  const BatchFeaturizer featurizer(network(4), 1);
  const auto d = static_cast<std::size_t>(featurizer.network().dimension());
  const Vector all =
      vectors(featurizer, {view(image), raw(3, true, bgr, 3 * kWidth), raw(4, false, rgba, 4 * kWidth),
                           raw(3, false, padded, kStride), view(grey), raw(1, false, single, kWidth)});
  for (const std::size_t same : {1u, 2u, 3u}) EXPECT_EQ(row(all, same, d), row(all, 0, d)) << same;
  EXPECT_EQ(row(all, 5, d), row(all, 4, d));
  EXPECT_NE(row(all, 4, d), row(all, 0, d));
}

TEST_F(FeaturizeBatch, VectorsDependOnNeitherBatchNorThreadsNorNeighbours) {
  std::vector<Image> images;
  for (int i = 0; i < 11; ++i) images.push_back(picture(i));
  std::vector<PhotoSource> photos;
  for (const Image& image : images) photos.emplace_back(view(image));
  const BatchFeaturizer one(network(1), 1);
  const BatchFeaturizer many(network(4), 3);
  const auto d = static_cast<std::size_t>(one.network().dimension());
  const Vector all = vectors(many, photos);
  EXPECT_EQ(all, vectors(one, photos));
  EXPECT_EQ(row(all, 7, d), vectors(many, {photos[7]}));
  EXPECT_NE(row(all, 7, d), row(all, 8, d));
  EXPECT_TRUE(many.featurize({}, {}).empty());
}

TEST_F(FeaturizeBatch, ABadPhotoIsARowOfNansAndASentence) {
  const Image image = picture(3);
  const std::vector<std::byte> jpeg = encode_jpeg(image, 90);
  RawPixels empty = view(image);
  empty.height = 0;
  RawPixels strange = view(image);
  strange.channels = 2;
  const std::vector<PhotoSource> photos = {
      view(image), std::span(jpeg).first(jpeg.size() / 2), std::string("/no/such/photo.jpg"), empty, strange,
      view(image)};
  const BatchFeaturizer featurizer(network(2), 2);
  const auto d = static_cast<std::size_t>(featurizer.network().dimension());
  const Vector all = vectors(featurizer, photos);
  for (std::size_t i = 0; i < photos.size(); ++i) {
    const bool good = i == 0 || i + 1 == photos.size();
    EXPECT_EQ(outcomes_[i].has_value(), good) << i;
    for (const float value : row(all, i, d)) EXPECT_EQ(std::isnan(value), !good) << i;
    if (!good) {
      EXPECT_FALSE(outcomes_[i].error().reason.empty()) << i;
    }
  }
  EXPECT_EQ(outcomes_[2].error().stage, Stage::kRead);
  EXPECT_THAT(outcomes_[4].error().reason, HasSubstr("2 channels"));
  EXPECT_EQ(row(all, 0, d), row(all, 5, d));
}

TEST_F(FeaturizeBatch, WrongRoomAndAStopEndTheCall) {
  const Image image = picture(4);
  const std::vector<PhotoSource> photos = {view(image)};
  const BatchFeaturizer featurizer(network(1), 1);
  const auto d = static_cast<std::size_t>(featurizer.network().dimension());
  Vector out(d + 1);
  const auto code = [&](std::span<float> room, std::stop_token stop) {
    try {
      static_cast<void>(featurizer.featurize(photos, room, std::move(stop)));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code(out, {}), ErrorCode::kMismatch);
  std::stop_source stop;
  stop.request_stop();
  out.resize(d);
  EXPECT_EQ(code(out, stop.get_token()), ErrorCode::kCancelled);
  // The same engine goes on working.
  EXPECT_TRUE(featurizer.featurize(photos, out).front());
}

}  // namespace
}  // namespace pomona
