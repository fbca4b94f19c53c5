// SPDX-License-Identifier: Apache-2.0
#include "rate_limit.h"

#include <gtest/gtest.h>

namespace pomona::server {
namespace {

using std::chrono::milliseconds;

TEST(RateLimit, BurstThenRate) {
  RateLimit limit(10, 5);
  const auto start = RateLimit::Clock::now();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.take("a", start), 0);
  EXPECT_NEAR(limit.take("a", start), 0.1, 1e-9);
  EXPECT_EQ(limit.take("b", start), 0) << "another client has a bucket of its own";
  EXPECT_EQ(limit.take("a", start + milliseconds(101)), 0);
  EXPECT_GT(limit.take("a", start + milliseconds(102)), 0);
  // A long pause fills the bucket to its brim and no further.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.take("a", start + milliseconds(100'000)), 0);
  EXPECT_GT(limit.take("a", start + milliseconds(100'000)), 0);
}

TEST(RateLimit, TableIsBounded) {
  RateLimit limit(1, 1, 100);
  const auto now = RateLimit::Clock::now();
  for (int i = 0; i < 10'000; ++i) limit.take(std::to_string(i), now);
  EXPECT_EQ(limit.clients(), 100u);
  EXPECT_GT(limit.take("9999", now), 0) << "those seen last are known";
}

TEST(RateLimit, ZeroIsNoLimit) {
  RateLimit limit(0, 1);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(limit.take("a"), 0);
}

TEST(RateLimit, OneSubscriberIsOneClient) {
  EXPECT_EQ(RateLimit::key("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(RateLimit::key("2001:db8:1:2:3:4:5:6"), RateLimit::key("2001:db8:1:2::9"));
  EXPECT_NE(RateLimit::key("2001:db8:1:2::9"), RateLimit::key("2001:db8:1:3::9"));
}

}  // namespace
}  // namespace pomona::server
