// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/components_needed.h"

#include <gtest/gtest.h>

#include "pomona/learn/random.h"

namespace pomona {
namespace {

constexpr int kWidth = 20;

// Four classes at the corners of a square in the first two dimensions, with noise in all of them.
// Every fourth photo is of `split`.
LabelledVectors corners(std::size_t n, const char* split, double noise = 0.8) {
  LabelledVectors data;
  data.source = "corners";
  data.n = n;
  data.d = kWidth;
  data.schema.d = kWidth;
  data.targets.push_back({"label", {"a", "b", "c", "d"}, {}});
  Random random(7);
  for (std::size_t i = 0; i < n; ++i) {
    const int y = static_cast<int>(random.below(4));
    data.targets[0].y.push_back(y);
    data.paths.push_back(std::to_string(i));
    data.hashes.emplace_back();
    data.splits.emplace_back(i % 4 == 3 && split != nullptr ? split : "Training");
    for (int j = 0; j < kWidth; ++j) {
      const double corner = j == 0 ? 2.0 * (y & 1) - 1 : j == 1 ? 1.5 * ((y & 2) - 1) : 0;
      data.x.push_back(static_cast<float>(corner + noise * (random.uniform() - 0.5)));
    }
  }
  return data;
}

TEST(ComponentsNeeded, TwoOfTwentyTellFourCorners) {
  const auto needed = components_needed(corners(400, "Test"), {.ks = {1, 2, 5}});
  ASSERT_TRUE(needed);
  EXPECT_EQ(needed->split, "Test");
  EXPECT_EQ(needed->trained, 300U);
  EXPECT_EQ(needed->judged, 100U);
  ASSERT_EQ(needed->points.size(), 3U);
  EXPECT_LT(needed->points[0].f32, 0.8);  // one number tells two sides, not four corners
  for (const std::size_t i : {1, 2}) {
    EXPECT_EQ(needed->points[i].f32, 1);
    EXPECT_EQ(needed->points[i].f16, 1);
    EXPECT_EQ(needed->points[i].u8, 1);
  }
}

TEST(ComponentsNeeded, JudgesByPhotosThatWereNotLearnedFrom) {
  // Labels of the Test photos say nothing: whoever had seen them could tell them, an honest judge cannot.
  LabelledVectors data = corners(800, "Test");
  Random random(3);
  for (std::size_t i = 3; i < data.n; i += 4) data.targets[0].y[i] = static_cast<int>(random.below(4));
  const auto needed = components_needed(data, {.ks = {kWidth}});
  ASSERT_TRUE(needed);
  EXPECT_LT(needed->points[0].f32, 0.4);
}

TEST(ComponentsNeeded, HoldsPhotosBackWhereNoSplitDoes) {
  EXPECT_EQ(components_needed(corners(400, "Validation"), {.ks = {2}})->split, "Validation");
  const auto held = components_needed(corners(400, nullptr), {.ks = {2}});
  ASSERT_TRUE(held);
  EXPECT_EQ(held->split, "20 % held back");
  EXPECT_EQ(held->trained + held->judged, 400U);
  EXPECT_NEAR(static_cast<double>(held->judged), 80, 4);
  EXPECT_EQ(held->points[0].f32, 1);
}

TEST(ComponentsNeeded, HoldsCopiesOfAPhotoBackTogether) {
  LabelledVectors data = corners(400, nullptr);
  for (std::size_t i = 0; i < data.n; ++i) {  // each photo there four times
    data.targets[0].y[i] = data.targets[0].y[i / 4 * 4];
    data.hashes[i] = content_hash(std::as_bytes(std::span(data.paths[i / 4 * 4])));
  }
  const auto held = components_needed(data, {.ks = {2}});
  ASSERT_TRUE(held);
  EXPECT_EQ(held->trained + held->judged, 400U);
  EXPECT_EQ(held->judged % 4, 0U);
  EXPECT_NEAR(static_cast<double>(held->judged), 80, 8);
}

TEST(ComponentsNeeded, IsTheSameForAnyNumberOfThreads) {
  const LabelledVectors data = corners(400, "Test", 4);
  nlohmann::json one;
  nlohmann::json three;
  add_to_json(*components_needed(data, {.threads = 1}), one);
  add_to_json(*components_needed(data, {.threads = 3}), three);
  EXPECT_EQ(one, three);
  EXPECT_EQ(one["components_needed"].back()["k"], kWidth);
  EXPECT_EQ(one["components_needed"].back()["bytes_f16"], 2 * kWidth);
  EXPECT_LT(one["components_needed"].back()["accuracy_f32"], 1);
}

TEST(ComponentsNeeded, PhotosOfAClassWithoutTrainingPhotosAreNotToldRight) {
  LabelledVectors data = corners(400, "Test");
  for (std::size_t i = 0; i < data.n; ++i) {
    if (data.splits[i] == "Training" && data.targets[0].y[i] == 3) data.targets[0].y[i] = -1;
  }
  const auto needed = components_needed(data, {.ks = {5}});
  ASSERT_TRUE(needed);
  EXPECT_EQ(needed->judged, 100U);
  EXPECT_LT(needed->points[0].f32, 0.9);
  EXPECT_GT(needed->points[0].f32, 0.6);
}

TEST(ComponentsNeeded, SaysNothingWhereThereIsNothingToSay) {
  LabelledVectors data = corners(40, "Test");
  for (int& y : data.targets[0].y) y = y < 0 ? y : 0;
  EXPECT_FALSE(components_needed(data, {}));
  for (int& y : data.targets[0].y) y = -1;
  EXPECT_FALSE(components_needed(data, {}));
  LabelledVectors constant = corners(40, "Test");
  for (float& x : constant.x) x = 1;
  EXPECT_TRUE(components_needed(constant, {}));  // a poor figure, not a failure
}

}  // namespace
}  // namespace pomona
