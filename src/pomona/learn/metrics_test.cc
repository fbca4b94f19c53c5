// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/metrics.h"

#include <gtest/gtest.h>

#include "pomona/base/error.h"

namespace pomona {
namespace {

TEST(Wilson, AgreesWithPublishedValues) {
  // Brown, Cai, DasGupta 2001 and statsmodels.stats.proportion_confint(58, 60, method="wilson").
  const Share share = wilson(58, 60);
  EXPECT_NEAR(share.value, 0.966667, 1e-6);
  EXPECT_NEAR(share.low, 0.886354, 1e-5);
  EXPECT_NEAR(share.high, 0.990811, 1e-5);
  EXPECT_EQ(wilson(0, 0).high, 1);
  EXPECT_NEAR(wilson(10, 10).low, 0.722467, 1e-5);
}

TEST(Measure, CountsAsScikitLearnDoes) {
  const std::vector<int> truth = {0, 0, 1, 1, 2};
  const std::vector<float> p = {
      0.7F, 0.2F, 0.1F, 0.0F,   // 0, right
      0.1F, 0.8F, 0.1F, 0.0F,   // predicted 1
      0.2F, 0.6F, 0.2F, 0.0F,   // 1, right
      0.1F, 0.9F, 0.0F, 0.0F,   // 1, right
      0.4F, 0.3F, 0.0F, 0.3F};  // predicted 0; the true class is last: not in the top 3
  const Metrics m = measure(truth, p, {"a", "b", "c", "d"});
  EXPECT_DOUBLE_EQ(m.accuracy.value, 0.6);
  EXPECT_DOUBLE_EQ(m.top3.value, 0.8);
  EXPECT_DOUBLE_EQ(m.balanced_accuracy, (0.5 + 1.0 + 0.0) / 3);
  EXPECT_DOUBLE_EQ(m.classes[1].precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(m.classes[1].f1, 0.8);
  EXPECT_EQ(m.classes[3].support, 0U);
  EXPECT_DOUBLE_EQ(m.macro_f1, (0.5 + 0.8 + 0.0) / 3)
      << "a class that neither occurs nor is predicted does not count";
  EXPECT_EQ(m.confusion[0][1], 1U);
  EXPECT_EQ(m.confusion[2][0], 1U);
}

TEST(Measure, RefusesWhatDoesNotFit) {
  EXPECT_THROW(measure(std::vector<int>{0}, std::vector<float>{1}, {"a", "b"}), Error);
  EXPECT_THROW(measure(std::vector<int>{2}, std::vector<float>{1, 0}, {"a", "b"}), Error);
}

}  // namespace
}  // namespace pomona
