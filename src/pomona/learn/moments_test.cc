// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/moments.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "pomona/base/error.h"

namespace pomona {
namespace {

// Rows with a large mean and unequal scales: what a careless sum in float32 loses.
std::vector<float> rows_of(std::size_t n, int d, unsigned seed, double mean) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<float> x(n * static_cast<std::size_t>(d));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double scale = 1 + static_cast<double>(i % static_cast<std::size_t>(d));
    x[i] = static_cast<float>(scale * (mean + normal(random)));
  }
  return x;
}

// Largest error of an element of the covariance, relative to sigma_i sigma_j, against plain float64.
double covariance_error(const Moments& moments, const std::vector<float>& x, std::size_t n) {
  const auto d = static_cast<std::size_t>(moments.d());
  const auto rows = static_cast<double>(n);
  std::vector<double> mean(d), covariance(d * d);
  for (std::size_t i = 0; i < n * d; ++i) mean[i % d] += static_cast<double>(x[i]) / rows;
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = i; j < d; ++j) {
        covariance[i * d + j] += (static_cast<double>(x[r * d + i]) - mean[i]) *
                                 (static_cast<double>(x[r * d + j]) - mean[j]) / rows;
      }
    }
  }
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < d; ++i) {
    for (std::size_t j = i; j < d; ++j, ++at) {
      const double ours = (moments.gram()[at] - moments.sum()[i] * moments.sum()[j] / rows) / rows;
      const double scale = std::sqrt(covariance[i * d + i] * covariance[j * d + j]);
      worst = std::max(worst, std::abs(ours - covariance[i * d + j]) / scale);
    }
  }
  return worst;
}

TEST(Moments, AreAsAccurateAsTheyClaimWhateverTheMean) {
  for (const int d : {1, 7, 48, 53, 130}) {
    for (const double mean : {0.0, 1.0, 100.0}) {
      for (const std::size_t n : {2u, 63u, 700u, 3000u}) {
        const auto x = rows_of(n, d, 7, mean);
        Moments moments(d);
        moments.add(x, n);
        EXPECT_EQ(moments.n(), n);
        EXPECT_LT(covariance_error(moments, x, n), n < 100 ? 2e-6 : 4e-7)
            << "d " << d << ", mean " << mean << ", n " << n;
      }
    }
  }
}

TEST(Moments, HaveTheSameBitsForAnyNumberOfThreads) {
  const std::size_t n = 777;
  const int d = 211;
  const auto x = rows_of(n, d, 3, 2.0);
  Moments one(d);
  one.add(x, n, 1);
  for (const int threads : {2, 3, 8, 64}) {
    Moments many(d);
    many.add(x, n, threads);
    EXPECT_TRUE(std::ranges::equal(one.gram(), many.gram())) << threads;
    EXPECT_TRUE(std::ranges::equal(one.sum(), many.sum())) << threads;
  }
}

TEST(Moments, OfAUnionAreTheSumOfTheMomentsInAnyOrder) {
  const int d = 31;
  const std::size_t n = 900;
  const auto x = rows_of(n, d, 5, 1.0);
  const std::span<const float> all(x);
  Moments whole(d);
  whole.add(all, n);
  const auto part = [&](std::size_t first, std::size_t count) {
    Moments moments(d);
    moments.add(all.subspan(first * d, count * d), count);
    return moments;
  };
  for (const auto& order : {std::vector<int>{0, 1, 2}, std::vector<int>{2, 0, 1}}) {
    const std::vector<Moments> parts = {part(0, 100), part(100, 511), part(611, 289)};
    Moments merged(d);
    for (const int p : order) merged.merge(parts[static_cast<std::size_t>(p)]);
    EXPECT_EQ(merged.n(), n);
    EXPECT_LT(covariance_error(merged, x, n), 4e-7);
    for (std::size_t i = 0; i < merged.gram().size(); ++i) {
      EXPECT_NEAR(merged.gram()[i], whole.gram()[i], 1e-6 * std::abs(whole.gram()[i]) + 1e-3);
    }
  }
  Moments other(d + 1);
  EXPECT_THROW(other.merge(whole), Error);
  EXPECT_THROW(other.add(all, n), Error);
}

TEST(Moments, SurviveTheirFile) {
  Moments moments(13);
  moments.add(rows_of(50, 13, 1, 0.5), 50);
  const std::string bytes = moments.serialize();
  const Moments back = Moments::deserialize(bytes);
  EXPECT_EQ(back.n(), 50u);
  EXPECT_TRUE(std::ranges::equal(back.gram(), moments.gram()));
  EXPECT_TRUE(std::ranges::equal(back.sum(), moments.sum()));
}

TEST(Moments, RefuseADamagedFile) {
  Moments moments(5);
  moments.add(rows_of(9, 5, 1, 0.5), 9);
  const std::string bytes = moments.serialize();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(Moments::deserialize(bytes.substr(0, length)), Error) << length;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    EXPECT_THROW(Moments::deserialize(bad), Error) << at;
  }
  EXPECT_THROW(Moments::deserialize(bytes + "x"), Error);
}

}  // namespace
}  // namespace pomona
