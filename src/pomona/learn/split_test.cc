// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "pomona/base/error.h"

namespace pomona {
namespace {

TEST(Folds, SpreadEveryClassEvenly) {
  std::vector<int> classes;
  for (int i = 0; i < 103; ++i) classes.push_back(0);
  for (int i = 0; i < 10; ++i) classes.push_back(1);
  const std::vector<int> folds = assign_folds(classes, {}, 5, 7);
  std::map<std::pair<int, int>, int> counts;
  for (std::size_t i = 0; i < classes.size(); ++i) ++counts[{classes[i], folds[i]}];
  for (int f = 0; f < 5; ++f) {
    EXPECT_NEAR((counts[{0, f}]), 20.5, 1) << f;
    EXPECT_EQ((counts[{1, f}]), 2) << f;
  }
  EXPECT_EQ(folds, assign_folds(classes, {}, 5, 7)) << "the same seed gives the same folds";
  EXPECT_NE(folds, assign_folds(classes, {}, 5, 8));
}

TEST(Folds, KeepGroupsTogether) {
  std::vector<int> classes;
  std::vector<std::int64_t> groups;
  for (int g = 0; g < 20; ++g) {
    for (int i = 0; i < 5 + g % 3; ++i) classes.push_back(g % 2), groups.push_back(1000 + g);
  }
  const std::vector<int> folds = assign_folds(classes, groups, 4, 1);
  std::map<std::int64_t, std::set<int>> where;
  std::map<int, int> sizes;
  for (std::size_t i = 0; i < groups.size(); ++i) where[groups[i]].insert(folds[i]), ++sizes[folds[i]];
  for (const auto& [group, in] : where) EXPECT_EQ(in.size(), 1U) << group;
  for (const auto& [fold, size] : sizes) EXPECT_NEAR(size, static_cast<double>(groups.size()) / 4, 8) << fold;
}

TEST(HoldOut, TakesTheShareOfEveryClassAndNeverAllOfOne) {
  std::vector<int> classes(100, 0);
  classes.insert(classes.end(), 2, 1);
  classes.push_back(2);
  const std::vector<bool> held = hold_out(classes, {}, 0.2, 3);
  EXPECT_EQ(std::count(held.begin(), held.begin() + 100, true), 20);
  EXPECT_EQ(std::count(held.begin() + 100, held.begin() + 102, true), 1);
  EXPECT_FALSE(held[102]) << "the only photo of a class is trained on";
}

TEST(Splits, SayWhatIsMissing) {
  EXPECT_THROW(assign_folds(std::vector<int>{0, 1}, {}, 3, 1), Error);
  EXPECT_THROW(assign_folds(std::vector<int>{0, 1, 1}, std::vector<std::int64_t>{1, 1, 1}, 2, 1), Error);
  EXPECT_THROW(hold_out(std::vector<int>{0, 1}, {}, 1.5, 1), Error);
}

}  // namespace
}  // namespace pomona
