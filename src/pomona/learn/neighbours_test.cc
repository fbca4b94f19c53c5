// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/neighbours.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "pomona/base/error.h"

namespace pomona {
namespace {

std::vector<float> random_rows(std::size_t n, std::size_t d, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> x(n * d);
  for (float& value : x) value = static_cast<float>(random() % 2001) / 1000 - 1;
  return x;
}

// By definition: every cosine in long double, all sorted.
std::vector<std::uint64_t> sorted_ids(std::span<const float> x, std::span<const float> query, std::size_t n) {
  const std::size_t d = query.size();
  std::vector<std::pair<long double, std::uint64_t>> all;
  for (std::size_t r = 0; r < x.size() / d; ++r) {
    long double dot = 0, a = 0, b = 0;
    for (std::size_t i = 0; i < d; ++i) {
      const long double u = x[r * d + i], v = query[i];
      dot += u * v;
      a += u * u;
      b += v * v;
    }
    all.emplace_back(a * b > 0 ? -dot / std::sqrt(a * b) : 0.0L, r);
  }
  std::ranges::sort(all);
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < std::min(n, all.size()); ++i) ids.push_back(all[i].second);
  return ids;
}

std::vector<std::uint64_t> ids_of(const std::vector<Neighbour>& rows) {
  std::vector<std::uint64_t> ids;
  for (const Neighbour& row : rows) ids.push_back(row.id);
  return ids;
}

std::string message_of(const auto& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

class NearestRowsOf : public testing::TestWithParam<std::size_t> {};

TEST_P(NearestRowsOf, EqualsASortOfAllCosines) {
  const std::size_t d = GetParam();
  const auto x = random_rows(700, d, 1);
  const auto queries = random_rows(5, d, 2);
  NearestRows search(queries, d, 12);
  search.add(x, 0);
  for (std::size_t q = 0; q < 5; ++q) {
    const auto query = std::span(queries).subspan(q * d, d);
    EXPECT_EQ(ids_of(search.best(q)), sorted_ids(x, query, 12)) << q;
    EXPECT_EQ(nearest_rows(x, query, 12), search.best(q));
  }
}

INSTANTIATE_TEST_SUITE_P(Dimensions, NearestRowsOf, testing::Values(15, 16, 17, 100, 1280));

TEST(NearestRows, SimilarityIsTheCosine) {
  const std::vector<float> x = {1, 0, 3, 4, -2, 0, 0, -5};
  const std::vector<float> query = {10, 0};
  const auto rows = nearest_rows(x, query, 9);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0], (Neighbour{0, 1.0}));
  EXPECT_EQ(rows[1].id, 1u);
  EXPECT_DOUBLE_EQ(rows[1].similarity, 0.6);
  EXPECT_EQ(rows[2], (Neighbour{3, 0.0}));
  EXPECT_EQ(rows[3], (Neighbour{2, -1.0}));
}

TEST(NearestRows, AnswerDoesNotDependOnBlocksThreadsOrMerges) {
  const std::size_t d = 96, n = 9000;
  const auto x = random_rows(n, d, 3);
  const auto queries = random_rows(3, d, 4);
  NearestRows whole(queries, d, 50);
  whole.add(x, 0);
  NearestRows threaded(queries, d, 50);
  threaded.add(x, 0, 5);
  NearestRows blocks(queries, d, 50);
  NearestRows left(queries, d, 50), right(queries, d, 50);
  std::vector<std::size_t> starts;
  for (std::size_t row = 0; row < n; row += 617) starts.push_back(row);
  std::ranges::reverse(starts);
  for (const std::size_t row : starts) {
    const std::size_t count = std::min<std::size_t>(617, n - row);
    const auto block = std::span(x).subspan(row * d, count * d);
    blocks.add(block, row, 2);
    std::vector<std::uint64_t> ids(count);
    for (std::size_t i = 0; i < count; ++i) ids[i] = row + i;
    (row % 2 == 0 ? left : right).add(block, ids);
  }
  left.merge(right);
  EXPECT_EQ(left.rows_seen(), n);
  for (std::size_t q = 0; q < 3; ++q) {
    EXPECT_EQ(whole.best(q).size(), 50u);
    EXPECT_EQ(whole.best(q), threaded.best(q));
    EXPECT_EQ(whole.best(q), blocks.best(q));
    EXPECT_EQ(whole.best(q), left.best(q));
  }
}

TEST(NearestRows, EquallyNearRowsComeByLowerIdHoweverTheyAreFed) {
  const std::vector<float> row = {1, 2, 3};
  const std::vector<std::uint64_t> ids = {90, 7, 30, 8, 1000, 2};
  std::vector<float> x;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    for (const float value : row) x.push_back(std::ldexp(value, static_cast<int>(i)));  // the same direction
  }
  NearestRows search(row, 3, 3);
  search.add(x, ids);
  EXPECT_THAT(ids_of(search.best()), testing::ElementsAre(2, 7, 8));
}

TEST(NearestRows, ZeroRowsAndZeroQueriesHaveCosineZero) {
  const std::vector<float> x = {0, 0, -1, 0, 1, 1};
  EXPECT_EQ(nearest_rows(x, std::vector<float>{1, 0}, 3)[1], (Neighbour{0, 0.0}));
  for (const Neighbour& row : nearest_rows(x, std::vector<float>{0, 0}, 3)) EXPECT_EQ(row.similarity, 0);
  EXPECT_THAT(ids_of(nearest_rows(x, std::vector<float>{0, 0}, 2)), testing::ElementsAre(0, 1));
}

TEST(NearestRows, OutermostFloatsAreStillCompared) {
  const float big = std::numeric_limits<float>::max(), small = std::numeric_limits<float>::denorm_min();
  const std::vector<float> x = {big, big, small, small, big, -big};
  const auto rows = nearest_rows(x, std::vector<float>{small, small}, 3);
  EXPECT_THAT(ids_of(rows), testing::ElementsAre(0, 1, 2));
  EXPECT_NEAR(rows[0].similarity, 1, 1e-15);
  EXPECT_EQ(rows[2].similarity, 0);
}

TEST(NearestRows, RefusesWhatIsNotFiniteAndTakesNoneOfTheBlock) {
  const std::size_t d = 50, n = 12000;
  auto x = random_rows(n, d, 5);
  const auto query = std::span(x).first(d);
  NearestRows search(query, d, 4);
  search.add(std::span(x).first(10 * d), 0);
  const auto before = search.best();
  x[9000 * d + 49] = NAN;
  x[8000 * d + 3] = -std::numeric_limits<float>::infinity();
  for (const int threads : {1, 4}) {
    const auto message = message_of([&] { search.add(x, std::uint64_t{100}, threads); }, ErrorCode::kFormat);
    EXPECT_THAT(message, testing::HasSubstr("Row 8100 "));
    EXPECT_EQ(search.best(), before);
    EXPECT_EQ(search.rows_seen(), 10u);
  }
  EXPECT_THAT(
      message_of([&] { NearestRows(std::span(x).subspan(8000 * d, 2 * d), d, 1); }, ErrorCode::kFormat),
      testing::HasSubstr("Query 0 "));
}

TEST(NearestRows, RefusesWrongUse) {
  const std::vector<float> query = {1, 2};
  const std::vector<std::uint64_t> one_id = {1};
  message_of([&] { NearestRows(query, 2, 0); }, ErrorCode::kUsage);
  message_of([&] { NearestRows(query, 0, 1); }, ErrorCode::kUsage);
  message_of([&] { NearestRows({}, 2, 1); }, ErrorCode::kUsage);
  message_of([&] { NearestRows(query, 3, 1); }, ErrorCode::kMismatch);
  NearestRows search(query, 2, 1);
  EXPECT_TRUE(search.best().empty());
  message_of([&] { search.best(1); }, ErrorCode::kUsage);
  message_of([&] { search.add(std::vector<float>(3), 0); }, ErrorCode::kMismatch);
  message_of([&] { search.add(std::vector<float>(4), one_id); }, ErrorCode::kMismatch);
  message_of([&] { search.merge(NearestRows(query, 2, 2)); }, ErrorCode::kMismatch);
  message_of([&] { search.merge(NearestRows(query, 1, 1)); }, ErrorCode::kMismatch);
  search.add({}, 0);
  EXPECT_TRUE(search.best().empty());
}

}  // namespace
}  // namespace pomona
