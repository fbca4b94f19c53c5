// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/sampling.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pomona/base/error.h"

namespace pomona {
namespace {

using ::testing::ElementsAre;

TEST(Quota, AllWhereAllFit) {
  const std::vector<std::uint64_t> sizes = {3, 0, 7};
  EXPECT_THAT(stratified_quota(sizes, 10), ElementsAre(3, 0, 7));
  EXPECT_THAT(stratified_quota(sizes, 0), ElementsAre(0, 0, 0));
  EXPECT_TRUE(stratified_quota({}, 5).empty());
}

TEST(Quota, SmallClassesStayVisible) {
  const std::vector<std::uint64_t> sizes = {1'000'000, 30, 5, 0};
  const auto quota = stratified_quota(sizes, 1000);
  EXPECT_EQ(std::accumulate(quota.begin(), quota.end(), std::size_t{0}), 1000);
  EXPECT_GE(quota[1], 20);
  EXPECT_EQ(quota[2], 5);
  EXPECT_EQ(quota[3], 0);
}

TEST(Quota, NeverMoreThanThereAreNorThanWanted) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint64_t> sizes(1 + random() % 60);
    for (auto& size : sizes) size = random() % (round % 3 == 0 ? 10 : 10'000);
    const std::size_t most = random() % 3000;
    const auto quota = stratified_quota(sizes, most);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      ASSERT_LE(quota[i], sizes[i]);
      sum += quota[i];
    }
    const auto total = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
    ASSERT_EQ(sum, std::min<std::uint64_t>(most, total));
  }
}

std::vector<std::string> draw(std::vector<int> order, std::uint64_t seed) {
  const std::vector<std::uint64_t> sizes = {500, 500};
  StratifiedSampler sampler(sizes, 100, seed);
  for (const int i : order) {
    const float value = static_cast<float>(i);
    sampler.offer(fmt::format("photo {}", i), static_cast<std::size_t>(i % 2), {&value, 1});
  }
  std::vector<std::string> paths;
  for (const auto& stratum : sampler.take()) {
    EXPECT_EQ(stratum.size(), 50);
    for (const SampledRow& row : stratum) {
      EXPECT_EQ(row.path, fmt::format("photo {}", row.values.at(0)));
      paths.push_back(row.path);
    }
  }
  return paths;
}

TEST(Sampler, SeedDecidesNotTheOrder) {
  std::vector<int> order(1000);
  std::iota(order.begin(), order.end(), 0);
  const auto first = draw(order, 1);
  std::ranges::shuffle(order, std::mt19937(5));
  EXPECT_EQ(draw(order, 1), first);
  EXPECT_NE(draw(order, 2), first);
}

TEST(Sampler, IsNotTheFirstOnes) {
  std::vector<int> order(1000);
  std::iota(order.begin(), order.end(), 0);
  double sum = 0;
  for (const std::string& path : draw(order, 1)) sum += std::stod(path.substr(6));
  // 100 of 0..999 at random: mean 499.5, standard error 29.
  EXPECT_NEAR(sum / 100, 499.5, 120);
}

TEST(Sampler, RefusesAnUncountedStratum) {
  const std::vector<std::uint64_t> sizes = {1};
  StratifiedSampler sampler(sizes, 1, 0);
  EXPECT_THROW(sampler.offer("a", 1, {}), Error);
}

TEST(Sizes, QuantilesOfFewAreExactOfManyAreNear) {
  SizeSketch few;
  for (const int v : {10, 50, 20, 40, 30}) few.add(v, static_cast<std::uint64_t>(v));
  const SizeQuantiles q = few.quantiles();
  EXPECT_EQ(q.minimum, 10);
  EXPECT_EQ(q.lower, 20);
  EXPECT_EQ(q.median, 30);
  EXPECT_EQ(q.upper, 40);
  EXPECT_EQ(q.maximum, 50);

  SizeSketch many;
  for (int i = 0; i < 50'000; ++i) many.add(i, random_priority(std::to_string(i), 1));
  EXPECT_EQ(many.quantiles().minimum, 0);
  EXPECT_EQ(many.quantiles().maximum, 49'999);
  EXPECT_NEAR(many.quantiles().median, 25'000, 2500);
}

TEST(Ends, AreTheExtremesSpreadOut) {
  EndsKeeper keeper(6);
  std::vector<int> order(200);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::shuffle(order, std::mt19937(1));
  for (const int i : order) keeper.offer(static_cast<float>(i), std::to_string(i));
  EXPECT_THAT(keeper.low(3), ElementsAre("0", "2", "4"));
  EXPECT_THAT(keeper.high(3), ElementsAre("199", "197", "195"));
  EXPECT_EQ(keeper.low(100).size(), 6);

  EndsKeeper ties(2);
  for (const char* path : {"c", "a", "d", "b"}) ties.offer(1, path);
  EXPECT_THAT(ties.low(2), ElementsAre("a", "b"));
  EXPECT_THAT(ties.high(2), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace pomona
