// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "pomona/base/error.h"

namespace pomona {
namespace {

TEST(ConfidentThreshold, IsTheLeastThatReachesTheTarget) {
  const std::vector<int> truth = {0, 0, 1, 0, 0};
  const std::vector<float> p = {0.9F, 0.1F, 0.8F, 0.2F,  0.7F,
                                0.3F, 0.6F, 0.4F, 0.55F, 0.45F};  // the third is wrong
  const ConfidentThreshold strict = calibrate_confident(truth, p, 2, 0.99);
  EXPECT_FLOAT_EQ(static_cast<float>(strict.threshold), 0.8F);
  EXPECT_DOUBLE_EQ(strict.coverage, 0.4);
  const ConfidentThreshold loose = calibrate_confident(truth, p, 2, 0.75);
  EXPECT_FLOAT_EQ(static_cast<float>(loose.threshold), 0.55F);
  EXPECT_DOUBLE_EQ(loose.precision, 0.8);
  const ConfidentThreshold never =
      calibrate_confident(std::vector<int>{1}, std::vector<float>{0.9F, 0.1F}, 2, 0.5);
  EXPECT_GT(never.threshold, 1);
  EXPECT_THROW(calibrate_confident(truth, p, 2, 1.5), Error);
}

TEST(Directions, TellNearFromFar) {
  const std::vector<float> x = {1, 0, 3, 0, 0, 2, 0, 5};
  const std::vector<int> classes = {0, 0, 1, 1};
  ClassDirections all(2, 2);
  all.add(x, classes);
  const std::vector<float> centres = all.directions();
  EXPECT_EQ(centres, (std::vector<float>{1, 0, 0, 1}));
  const std::vector<float> probes = {7, 0, -1, -1, 0, 0};
  const std::vector<float> distances = nearest_distances(probes, 3, 2, centres);
  EXPECT_FLOAT_EQ(distances[0], 0);
  EXPECT_NEAR(distances[1], std::sqrt(2 + std::sqrt(2.0)), 1e-6);
  EXPECT_NEAR(distances[2], std::sqrt(2.0), 1e-6) << "a zero vector is like nothing";
}

TEST(Quantile, IsNumpys) {
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_NEAR(quantile({1, 2, 3, 4, 5}, 0.9), 4.6, 1e-12);
}

}  // namespace
}  // namespace pomona
