// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/kmeans.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "pomona/base/error.h"

namespace pomona {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// n rows around each of `centres` points, in turn: row i belongs to point i mod centres.
std::vector<float> blobs(std::size_t n, std::size_t d, std::size_t centres, double spread, unsigned seed,
                         double mean = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> points(centres * d);
  for (double& value : points) value = 10 * normal(random) + mean;
  std::vector<float> x(n * d);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(points[i / d % centres * d + i % d] + spread * normal(random));
  }
  return x;
}

double square_distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}

// What must hold of every converged result, by definition.
void expect_fixed_point(const KMeans& result, std::span<const float> x) {
  const std::size_t d = result.d, n = x.size() / d;
  const auto k = static_cast<std::size_t>(result.k);
  ASSERT_EQ(result.assignments.size(), n);
  ASSERT_EQ(result.centres.size(), k * d);
  EXPECT_TRUE(result.converged);
  std::vector<std::size_t> sizes(k);
  std::vector<double> sums(k * d);
  double inertia = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto own = static_cast<std::size_t>(result.assignments[i]);
    ASSERT_LT(own, k);
    const auto row = x.subspan(i * d, d);
    ++sizes[own];
    for (std::size_t j = 0; j < d; ++j) sums[own * d + j] += static_cast<double>(row[j]);
    const double distance = square_distance(row, std::span(result.centres).subspan(own * d, d));
    inertia += distance;
    for (std::size_t c = 0; c < k; ++c) {
      const double other = square_distance(row, std::span(result.centres).subspan(c * d, d));
      EXPECT_LE(distance, other * (1 + 1e-12)) << "row " << i << ", centre " << c;
    }
  }
  EXPECT_EQ(sizes, result.sizes);
  EXPECT_TRUE(std::ranges::is_sorted(sizes, std::greater()));
  EXPECT_GT(sizes.back(), 0u);
  EXPECT_NEAR(result.inertia, inertia, 1e-12 * inertia);
  for (std::size_t i = 0; i < k * d; ++i) {
    const double mean = sums[i] / static_cast<double>(sizes[i / d]);
    EXPECT_NEAR(static_cast<double>(result.centres[i]), mean, 1e-7 * std::abs(mean) + 1e-30);
  }
  // The same centres for the same rows, but for a row that lies as near to two.
  const auto again = result.assign(x);
  for (std::size_t i = 0; i < n; ++i) {
    const auto distance = [&](int c) {
      return square_distance(x.subspan(i * d, d),
                             std::span(result.centres).subspan(static_cast<std::size_t>(c) * d, d));
    };
    if (again[i] != result.assignments[i]) {
      EXPECT_DOUBLE_EQ(distance(again[i]), distance(result.assignments[i])) << i;
    }
  }
}

ErrorCode code_of(const auto& call, const char* part = "") {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(part));
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST(KMeans, FindsBlobs) {
  for (const std::size_t d : {2u, 17u, 130u}) {
    const auto x = blobs(600, d, 6, 0.5, 1);
    const KMeans result = kmeans(x, d, {.k = 6});
    expect_fixed_point(result, x);
    for (std::size_t i = 6; i < 600; ++i) EXPECT_EQ(result.assignments[i], result.assignments[i % 6]);
    EXPECT_THAT(result.assignments, testing::Contains(5));
    EXPECT_EQ(result.sizes, std::vector<std::size_t>(6, 100));
  }
}

TEST(KMeans, EndsAtAFixedPointWhereClustersOverlap) {
  for (const int k : {1, 2, 9, 40}) {
    const auto x = blobs(3000, 5, 7, 8, 2);
    expect_fixed_point(kmeans(x, 5, {.k = k, .restarts = 3}), x);
  }
}

// Float32 products of rows this far from zero say nothing about which centre is nearer.
TEST(KMeans, IsAsExactFarFromZero) {
  const std::size_t d = 100;
  const auto x = blobs(2000, d, 1, 30, 3, 1e6);
  KMeans some;
  some.d = d;
  some.k = 8;
  some.centres.assign(x.begin(), x.begin() + 8 * d);
  const auto assigned = some.assign(x);
  for (std::size_t i = 0; i < 2000; ++i) {
    std::vector<double> distances;
    for (std::size_t c = 0; c < 8; ++c) {
      distances.push_back(square_distance(std::span(x).subspan(i * d, d), std::span(x).subspan(c * d, d)));
    }
    EXPECT_EQ(assigned[i], std::ranges::min_element(distances) - distances.begin()) << i;
  }
  const auto apart = blobs(800, 12, 5, 1, 3, 1e5);
  const KMeans result = kmeans(apart, 12, {.k = 5});
  expect_fixed_point(result, apart);
  for (std::size_t i = 5; i < 800; ++i) EXPECT_EQ(result.assignments[i], result.assignments[i % 5]);
}

TEST(KMeans, TakesValuesOfAnySize) {
  for (const float scale : {1e-30f, 1e30f}) {
    auto x = blobs(200, 4, 3, 0.5, 4);
    const auto plain = kmeans(x, 4, {.k = 3}).assignments;
    for (float& value : x) value *= scale;
    const KMeans result = kmeans(x, 4, {.k = 3});
    EXPECT_EQ(result.assignments, plain);
    EXPECT_TRUE(result.converged);
  }
}

TEST(KMeans, IsTheSameForAnyNumberOfThreads) {
  const auto x = blobs(5000, 33, 12, 6, 5);
  for (const std::optional<int> k : {std::optional<int>(14), std::optional<int>()}) {
    KMeansOptions options{.k = k, .k_max = 6, .restarts = 3, .search_rows = 1500, .silhouette_rows = 300};
    const KMeans one = kmeans(x, 33, options);
    for (const int threads : {2, 3, 7}) {
      options.threads = threads;
      const KMeans many = kmeans(x, 33, options);
      EXPECT_EQ(one.centres, many.centres);
      EXPECT_EQ(one.assignments, many.assignments);
      EXPECT_EQ(one.inertia, many.inertia);
      EXPECT_EQ(one.iterations, many.iterations);
      EXPECT_EQ(one.assign(x), many.assign(x, threads));
      ASSERT_EQ(one.trials.size(), many.trials.size());
      for (std::size_t i = 0; i < one.trials.size(); ++i) {
        EXPECT_EQ(one.trials[i].silhouette, many.trials[i].silhouette);
      }
    }
  }
}

TEST(KMeans, MoreRestartsAreNoWorseAndTheSeedMatters) {
  const auto x = blobs(1500, 6, 30, 3, 6);
  double least = std::numeric_limits<double>::infinity();
  std::vector<double> inertias;
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u}) {
    const double one = kmeans(x, 6, {.k = 30, .restarts = 1, .seed = seed}).inertia;
    const double ten = kmeans(x, 6, {.k = 30, .restarts = 10, .seed = seed}).inertia;
    EXPECT_LE(ten, one * 1.001);
    least = std::min(least, ten);
    inertias.push_back(one);
  }
  std::ranges::sort(inertias);
  EXPECT_LT(inertias.front(), inertias.back());
  EXPECT_LE(least, inertias.front());
}

TEST(KMeans, ChoosesTheNumberOfClusters) {
  for (const std::size_t centres : {2u, 4u, 9u}) {
    const auto x = blobs(900, 8, centres, 1, 7 + static_cast<unsigned>(centres));
    const KMeans result =
        kmeans(x, 8, {.k_max = 12, .restarts = 4, .search_rows = 400, .silhouette_rows = 200});
    EXPECT_EQ(result.k, static_cast<int>(centres));
    expect_fixed_point(result, x);
    ASSERT_EQ(result.trials.size(), 11u);
    for (const KMeans::Trial& trial : result.trials) {
      EXPECT_LE(trial.silhouette, result.trials[centres - 2].silhouette);
      EXPECT_GT(trial.silhouette, 0);
    }
  }
}

TEST(KMeans, TriesNoMoreClustersThanThereAreDifferentRows) {
  const std::vector<float> x = {0, 0, 0, 5, 5, 5, 9, 9};
  const KMeans result = kmeans(x, 1, {});
  EXPECT_EQ(result.k, 3);
  EXPECT_EQ(result.trials.size(), 2u);
  EXPECT_EQ(result.trials[1].silhouette, 1);
  EXPECT_EQ(result.inertia, 0);
}

TEST(KMeans, NumbersClustersBySizeThenByFirstRow) {
  const std::vector<float> x = {9, 1, 5, 5, 1, 5, 7};
  const KMeans result = kmeans(x, 1, {.k = 4});
  EXPECT_THAT(result.assignments, ElementsAre(2, 1, 0, 0, 1, 0, 3));
  EXPECT_THAT(result.centres, ElementsAre(5, 1, 9, 7));
  EXPECT_THAT(result.sizes, ElementsAre(3, 2, 1, 1));
}

// A grid of few values makes many rows equal and many equally far: clusters run empty on the way.
TEST(KMeans, LeavesNoClusterEmpty) {
  std::mt19937 random(8);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> x(60);
    for (float& value : x) value = static_cast<float>(random() % 4);
    const auto n = x.size() / 2;
    std::vector<std::pair<float, float>> different;
    for (std::size_t i = 0; i < n; ++i) different.emplace_back(x[2 * i], x[2 * i + 1]);
    std::ranges::sort(different);
    different.erase(std::ranges::unique(different).begin(), different.end());
    const auto k = static_cast<int>(1 + random() % different.size());
    const KMeans result = kmeans(x, 2, {.k = k, .restarts = 1, .seed = static_cast<std::uint64_t>(round)});
    expect_fixed_point(result, x);
    if (static_cast<std::size_t>(k) == different.size()) {
      EXPECT_EQ(result.inertia, 0);
    }
    EXPECT_EQ(code_of([&] { kmeans(x, 2, {.k = static_cast<int>(different.size()) + 1}); },
                      (std::to_string(different.size()) + " different rows").c_str()),
              ErrorCode::kUsage);
  }
}

TEST(KMeans, SaysWhenItStoppedEarly) {
  const auto x = blobs(3000, 5, 7, 8, 9);
  const KMeans result = kmeans(x, 5, {.k = 20, .restarts = 2, .max_iterations = 2});
  EXPECT_FALSE(result.converged);
  EXPECT_EQ(result.iterations, 2);
  EXPECT_GT(result.inertia, kmeans(x, 5, {.k = 20, .restarts = 2}).inertia);
}

TEST(KMeans, RefusesWrongUse) {
  auto x = blobs(50, 3, 2, 1, 10);
  const auto code = [&](const KMeansOptions& options, std::size_t d = 3) {
    return code_of([&] { kmeans(x, d, options); });
  };
  EXPECT_EQ(code({.k = 0}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k = 51}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k = 2, .restarts = 0}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k = 2, .max_iterations = 0}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k_min = 1}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k_min = 5, .k_max = 4}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k_max = 20, .silhouette_rows = 20}), ErrorCode::kUsage);
  EXPECT_EQ(code({.k = 2}, 0), ErrorCode::kMismatch);
  EXPECT_EQ(code({.k = 2}, 4), ErrorCode::kMismatch);
  EXPECT_EQ(code_of([] { kmeans({}, 3, {.k = 2}); }), ErrorCode::kUsage);
  EXPECT_EQ(code_of([] { kmeans(std::vector<float>(30, 1.5f), 3, {}); }), ErrorCode::kUsage);
  const KMeans result = kmeans(x, 3, {.k = 2});
  EXPECT_EQ(code_of([&] { result.assign(std::span(x).first(4)); }), ErrorCode::kMismatch);
  x[3 * 17 + 2] = NAN;
  EXPECT_EQ(code_of([&] { kmeans(x, 3, {.k = 2}); }, "Row 17 "), ErrorCode::kFormat);
  EXPECT_EQ(code_of([&] { result.assign(x); }, "Row 17 "), ErrorCode::kFormat);
}

TEST(Silhouette, OfAWorkedExample) {
  const std::vector<float> x = {0, 1, 5, 7, 20};
  const std::vector<int> clusters = {0, 0, 1, 1, 2};
  // a and b of the five rows: (1, 6), (1, 5), (2, 4.5), (2, 6.5), alone
  const double mean = (5.0 / 6 + 4.0 / 5 + 2.5 / 4.5 + 4.5 / 6.5 + 0) / 5;
  EXPECT_NEAR(silhouette(x, 1, clusters), mean, 1e-15);
  EXPECT_NEAR(silhouette(x, 1, clusters, 3), mean, 1e-15);
  EXPECT_EQ(silhouette(x, 1, std::vector<int>(5, 0)), 0);
  EXPECT_EQ(code_of([&] { silhouette(x, 1, std::vector<int>(4)); }), ErrorCode::kMismatch);
  EXPECT_EQ(code_of([&] { silhouette(x, 1, std::vector<int>{0, 0, 1, -1, 2}); }), ErrorCode::kMismatch);
  EXPECT_EQ(code_of([&] { silhouette(x, 1, std::vector<int>{0, 0, 1, 1 << 30, 2}); }), ErrorCode::kMismatch);
  EXPECT_EQ(code_of([&] { silhouette({}, 1, {}); }), ErrorCode::kMismatch);
}

TEST(Purity, CountsTheMostFrequentLabelOfEachCluster) {
  const std::vector<int> clusters = {0, 0, 0, 0, 1, 1, 1, 2};
  EXPECT_EQ(purity(clusters, std::vector<int>{5, 5, 5, 7, 7, 7, 5, 9}), 6.0 / 8);
  EXPECT_EQ(purity(clusters, std::vector<int>{5, -1, -1, 7, 7, 7, 5, -1}), 3.0 / 5);
  EXPECT_EQ(purity(clusters, std::vector<int>{0, 0, 0, 0, 0, 0, 0, 2147483647}), 1);
  EXPECT_EQ(purity(clusters, std::vector<int>(8, -1)), std::nullopt);
  EXPECT_EQ(purity({}, {}), std::nullopt);
  EXPECT_EQ(code_of([&] { purity(clusters, std::vector<int>(7)); }), ErrorCode::kMismatch);
}

}  // namespace
}  // namespace pomona
