// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/pca.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "pomona/base/error.h"
#include "pomona/learn/bytes.h"

namespace pomona {
namespace {

std::vector<float> rows_of(std::size_t n, int d, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<float> x(n * static_cast<std::size_t>(d));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double scale = 10 * std::pow(0.8, static_cast<double>(i % static_cast<std::size_t>(d)));
    x[i] = static_cast<float>(scale * normal(random) + 1);
  }
  return x;
}

Moments moments_of(const std::vector<float>& x, std::size_t n, int d) {
  Moments moments(d);
  moments.add(x, n);
  return moments;
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

TEST(Pca, ComponentsAreUnitVectorsThatDiagonalizeTheCovariance) {
  const int d = 24;
  const std::size_t n = 500;
  const auto x = rows_of(n, d, 1);
  const Pca pca = Pca::fit(moments_of(x, n, d), {.k = 8});
  ASSERT_EQ(pca.k(), 8);
  ASSERT_EQ(pca.spectrum().size(), 24u);
  std::vector<float> y(n * 8);
  pca.transform(x, n, y);
  for (std::size_t a = 0; a < 8; ++a) {
    const auto row = pca.components().subspan(a * d, d);
    const auto [low, high] = std::ranges::minmax(row);
    EXPECT_GT(high, -low);
    for (std::size_t b = 0; b < 8; ++b) {
      EXPECT_NEAR(dot(row, pca.components().subspan(b * d, d)), a == b ? 1 : 0, 1e-6);
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        sum += static_cast<double>(y[i * 8 + a]) * static_cast<double>(y[i * 8 + b]);
      }
      EXPECT_NEAR(sum / (n - 1), a == b ? pca.spectrum()[a] : 0, 1e-4);
    }
  }
}

TEST(Pca, AnsweredByShareOfTheVariance) {
  const int d = 24;
  const auto x = rows_of(500, d, 2);
  const Moments moments = moments_of(x, 500, d);
  const Pca pca = Pca::fit(moments, {.variance = 0.9});
  EXPECT_GE(pca.explained(), 0.9);
  EXPECT_LT(pca.truncated(pca.k() - 1).explained(), 0.9);
  EXPECT_EQ(Pca::fit(moments, {.variance = 1.0}).k(), d);
  EXPECT_EQ(Pca::fit(moments, {}).k(), d);
}

TEST(Pca, WithCenterOffHasTheSameComponentsAndDoesNotSubtractTheMean) {
  const int d = 10;
  const std::size_t n = 100;
  const auto x = rows_of(n, d, 3);
  const Pca on = Pca::fit(moments_of(x, n, d), {.k = 3});
  const Pca off = Pca::fit(moments_of(x, n, d), {.k = 3, .center = false});
  EXPECT_TRUE(std::ranges::equal(on.components(), off.components()));
  EXPECT_THAT(off.mean(), testing::Each(0.0f));
  std::vector<float> y_on(n * 3), y_off(n * 3);
  on.transform(x, n, y_on);
  off.transform(x, n, y_off);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      const double shift = dot(on.mean(), on.components().subspan(c * d, d));
      EXPECT_NEAR(static_cast<double>(y_off[i * 3 + c]) - static_cast<double>(y_on[i * 3 + c]), shift, 1e-4);
    }
  }
}

TEST(Pca, TransformsARowAloneAsAmongOthers) {
  const int d = 77;
  const std::size_t n = 600;
  const auto x = rows_of(n, d, 4);
  const Pca pca = Pca::fit(moments_of(x, n, d), {.k = 50});
  std::vector<float> all(n * 50), threaded(n * 50), one(50);
  pca.transform(x, n, all);
  pca.transform(x, n, threaded, 3);
  EXPECT_EQ(all, threaded);
  for (const std::size_t i : {0u, 1u, 7u, 511u, 512u, 599u}) {
    pca.transform(std::span(x).subspan(i * d, d), 1, one);
    EXPECT_TRUE(std::ranges::equal(one, std::span(all).subspan(i * 50, 50))) << i;
  }
}

TEST(Pca, OfWideRowsEqualsTheOneFromMoments) {
  const int d = 90;
  const std::size_t n = 40;
  const auto x = rows_of(n, d, 5);
  const Pca narrow = Pca::fit(moments_of(x, n, d), {.k = 20});
  const Pca wide = Pca::fit_wide(x, n, d, {.k = 20});
  ASSERT_EQ(wide.spectrum().size(), n);
  for (std::size_t c = 0; c < 20; ++c) {
    EXPECT_NEAR(wide.spectrum()[c], narrow.spectrum()[c], 1e-5 * narrow.spectrum()[0]);
    EXPECT_NEAR(dot(wide.components().subspan(c * d, d), narrow.components().subspan(c * d, d)), 1, 1e-5)
        << c;
  }
  const Pca threaded = Pca::fit_wide(x, n, d, {.k = 20, .threads = 4});
  EXPECT_TRUE(std::ranges::equal(wide.components(), threaded.components()));
}

TEST(Pca, OfWideRowsFillsUpWithUnitVectorsWhereThereIsNoVariance) {
  const int d = 30;
  std::vector<float> x(4 * 30, 0.5f);
  x[3] = 2;  // one row differs in one dimension: rank 1
  const Pca pca = Pca::fit_wide(x, 4, d, {.k = 4});
  EXPECT_NEAR(pca.spectrum()[1], 0, 1e-9);
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = 0; b < 4; ++b) {
      EXPECT_NEAR(dot(pca.components().subspan(a * d, d), pca.components().subspan(b * d, d)), a == b ? 1 : 0,
                  1e-6);
    }
  }
}

TEST(Pca, RefusesWhatCannotBeAsked) {
  const int d = 10;
  const auto x = rows_of(5, d, 6);
  const Moments moments = moments_of(x, 5, d);
  EXPECT_THROW(Pca::fit(moments, {.k = 11}), Error);
  EXPECT_THROW(Pca::fit(moments, {.k = 6}), Error);
  EXPECT_THROW(Pca::fit(moments, {.k = 0}), Error);
  EXPECT_THROW(Pca::fit(moments, {.variance = 0.0}), Error);
  EXPECT_THROW(Pca::fit(moments, {.variance = NAN}), Error);
  EXPECT_THROW(Pca::fit(Moments(10), {.k = 1}), Error);
  EXPECT_THROW(Pca::fit_wide(x, 1, 50, {.k = 1}), Error);
  const Pca pca = Pca::fit(moments, {.k = 2});
  std::vector<float> y(10);
  EXPECT_THROW(pca.transform(x, 4, y), Error);
  EXPECT_THROW(pca.truncated(3), Error);
}

TEST(Pca, SurvivesItsFileAndRefusesADamagedOne) {
  const auto x = rows_of(60, 9, 7);
  Pca pca = Pca::fit(moments_of(x, 60, 9), {.k = 4});
  pca.record = {{"fingerprint", "abc"}, {"nested", {1, 2}}};
  const std::string bytes = pca.serialize();
  const Pca back = Pca::deserialize(bytes);
  EXPECT_EQ(back.record, pca.record);
  EXPECT_EQ(back.n(), 60u);
  EXPECT_TRUE(back.center());
  EXPECT_TRUE(std::ranges::equal(back.components(), pca.components()));
  EXPECT_TRUE(std::ranges::equal(back.spectrum(), pca.spectrum()));
  EXPECT_TRUE(std::ranges::equal(back.mean(), pca.mean()));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(Pca::deserialize(bytes.substr(0, length)), Error) << length;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 0x11);
    EXPECT_THROW(Pca::deserialize(bad), Error) << at;
  }
}

// A checksum proves nothing about who wrote the file.
TEST(Pca, RefusesALyingHeaderWithAGoodChecksum) {
  for (const std::string_view header :
       {R"({})", R"([])", R"(null)", R"({"d":9999999999,"k":1,"n":5,"center":true,"spectrum":1})",
        R"({"d":16777216,"k":16777216,"n":5,"center":true,"spectrum":16777216})",
        R"({"d":-1,"k":1,"n":5,"center":true,"spectrum":1})",
        R"({"d":2.5,"k":1,"n":5,"center":true,"spectrum":1})",
        R"({"d":1,"k":1,"n":5,"center":1,"spectrum":1})", R"({"d":2,"k":2,"n":5,"center":true,"spectrum":1})",
        R"({"d":1,"k":1,"n":5,"spectrum":1})", R"({"d":"1"})", "\xff\xfe"}) {
    ByteWriter out("POMONPCA", 1);
    out.text(header);
    out.number(1.0f);
    out.number(1.0f);
    out.number(1.0);
    EXPECT_THROW(Pca::deserialize(out.finish()), Error) << header;
  }
  ByteWriter nan("POMONPCA", 1);
  nan.text(R"({"d":1,"k":1,"n":5,"center":true,"spectrum":1})");
  nan.number(NAN);
  nan.number(1.0f);
  nan.number(1.0);
  EXPECT_THROW(Pca::deserialize(nan.finish()), Error);
}

}  // namespace
}  // namespace pomona
