// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/spectral.h"

#include <gmock/gmock.h>

#include <cmath>

#include "pomona/base/error.h"
#include "pomona/learn/random.h"

namespace pomona {
namespace {

// B^T diag(scale) B for a random B: positive semi-definite, of rank `rank`.
std::vector<double> matrix_of(std::size_t d, std::size_t rank, double decay, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> a(d * d);
  std::vector<double> b(d);
  for (std::size_t r = 0; r < rank; ++r) {
    for (double& value : b) value = random.uniform() - 0.5;
    const double scale = std::pow(decay, static_cast<double>(r));
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j < d; ++j) a[i * d + j] += scale * b[i] * b[j];
    }
  }
  return a;
}

void expect_decomposes(const std::vector<double>& a, std::size_t d, std::size_t k) {
  const Spectral s = decompose(a, d, [k](auto) { return k; }, 2);
  ASSERT_EQ(s.values.size(), d);
  ASSERT_EQ(s.vectors.size(), k * d);
  EXPECT_TRUE(std::ranges::is_sorted(s.values, std::greater()));
  double norm = 1e-300, trace = 0, sum = 0;
  for (std::size_t i = 0; i < d; ++i) {
    norm = std::max(norm, std::abs(s.values[i]));
    trace += a[i * d + i];
    sum += s.values[i];
  }
  EXPECT_NEAR(sum, trace, 1e-12 * norm * static_cast<double>(d));
  for (std::size_t c = 0; c < k; ++c) {
    const double* x = s.vectors.data() + c * d;
    for (std::size_t i = 0; i < d; ++i) {
      double product = 0;
      for (std::size_t j = 0; j < d; ++j) product += a[i * d + j] * x[j];
      ASSERT_NEAR(product, s.values[c] * x[i], 1e-10 * norm) << "vector " << c << " of " << d;
    }
    for (std::size_t other = 0; other <= c; ++other) {
      double dot = 0;
      for (std::size_t j = 0; j < d; ++j) dot += x[j] * s.vectors[other * d + j];
      ASSERT_NEAR(dot, other == c ? 1 : 0, 1e-9) << c << " and " << other << " of " << d;
    }
  }
}

TEST(Spectral, HoldsForMatricesOfAllSizes) {
  for (const std::size_t d : {1u, 2u, 3u, 5u, 31u, 32u, 33u, 64u, 65u, 100u, 191u, 192u, 300u}) {
    expect_decomposes(matrix_of(d, d, 0.97, d), d, d);
    expect_decomposes(matrix_of(d, d + 3, 1.0, d), d, std::min<std::size_t>(d, 7));
  }
}

TEST(Spectral, HoldsForEqualEigenvalues) {
  for (const std::size_t d : {1u, 4u, 50u, 210u}) {
    std::vector<double> same(d * d);
    expect_decomposes(same, d, d);
    for (std::size_t i = 0; i < d; ++i) same[i * d + i] = 3;
    expect_decomposes(same, d, d);
    expect_decomposes(matrix_of(d, std::min<std::size_t>(d, 5), 0.5, 9), d, d);  // most eigenvalues are zero
    same[0] = -1;
    expect_decomposes(same, d, d);
  }
}

// Wilkinson's W21+: pairs of eigenvalues that agree to fourteen digits, with independent vectors.
TEST(Spectral, HoldsForNearlyEqualEigenvalues) {
  const std::size_t d = 21;
  std::vector<double> a(d * d);
  for (std::size_t i = 0; i < d; ++i) {
    a[i * d + i] = std::abs(10.0 - static_cast<double>(i));
    if (i + 1 < d) a[i * d + i + 1] = a[(i + 1) * d + i] = 1;
  }
  expect_decomposes(a, d, d);
}

TEST(Spectral, HoldsForTinyAndHugeScales) {
  for (const double scale : {1e-140, 1e140}) {
    auto a = matrix_of(40, 40, 0.8, 3);
    for (double& value : a) value *= scale;
    expect_decomposes(a, 40, 40);
  }
}

TEST(Spectral, HasTheSameBitsForAnyNumberOfThreads) {
  const auto a = matrix_of(500, 40, 0.9, 4);
  const Spectral one = decompose(a, 500, [](auto) { return 30; }, 1);
  for (const int threads : {2, 3, 9}) {
    const Spectral many = decompose(a, 500, [](auto) { return 30; }, threads);
    EXPECT_EQ(one.values, many.values);
    EXPECT_EQ(one.vectors, many.vectors);
  }
}

TEST(Spectral, RefusesWhatIsNoNumber) {
  std::vector<double> a = {1, NAN, NAN, 1};
  EXPECT_THROW(decompose(a, 2, [](auto) { return 1; }), Error);
}

}  // namespace
}  // namespace pomona
