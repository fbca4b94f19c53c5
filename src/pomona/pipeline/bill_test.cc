// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/bill.h"

#include <gtest/gtest.h>

namespace pomona {
namespace {

using nlohmann::json;

const char* const kPrices = R"({"currency": "EUR", "as_of": "2026-01-01", "region": "here",
  "machine": {"name": "m", "vcpus": 4, "on_demand_hour": 0.4, "spot_hour": 0.1, "reserved_hour": 0.2},
  "managed_cluster": {"hour": 0.05}, "storage_gb_month": {"often": 0.02, "note": "x"},
  "requests_per_1000": {"get": 0.001, "put": 0.01, "list": 0.02}})";

TEST(Bill, AddsUp) {
  // 8 hours of a thread are 2 hours of a machine with four.
  const json bill = bill_for({1e6, 8 * 3600, 3e9, 5e9}, json::parse(kPrices));
  EXPECT_DOUBLE_EQ(bill["machine_hours"], 2);
  EXPECT_DOUBLE_EQ(bill["compute_on_demand"], 0.8);
  EXPECT_DOUBLE_EQ(bill["compute_spot"], 0.2);
  EXPECT_DOUBLE_EQ(bill["compute_reserved"], 0.4);
  EXPECT_DOUBLE_EQ(bill["managed_cluster"], 0.1);
  // A million reads, a thousand pages of a listing, two objects for each of 123 parts.
  EXPECT_NEAR(bill["requests"], 1 + 0.02 + 246 * 0.01 / 1000, 1e-9);
  EXPECT_DOUBLE_EQ(bill["storage"]["often"]["photos_month"], 0.06);
  EXPECT_DOUBLE_EQ(bill["storage"]["often"]["features_month"], 0.1);
  EXPECT_FALSE(bill["storage"].contains("note"));
  EXPECT_EQ(bill["currency"], "EUR");
}

TEST(Bill, TakesAnyPriceFile) {
  EXPECT_TRUE(bill_for({1, 1, 1, 1}, nullptr).is_null());
  for (const char* text : {"{}", R"({"machine": 3, "currency": 7, "storage_gb_month": []})",
                           R"({"machine": {"vcpus": 0, "on_demand_hour": "x"}})"}) {
    const json bill = bill_for({1e6, 3600, 1, 1}, json::parse(text));
    EXPECT_EQ(bill["compute_on_demand"], 0) << text;
    EXPECT_EQ(bill["currency"], "USD") << text;
  }
}

TEST(Pace, LeavesTheStartOut) {
  const auto pace =
      pace_of(json::parse(R"({"counts": {"computed": 100}, "seconds": 12, "first_vector_seconds": 2,
      "stages": {"decode": 4, "featurize": 12, "wait": 4, "write": 50}})"));
  ASSERT_TRUE(pace);
  EXPECT_DOUBLE_EQ(pace->thread_seconds, 0.2);
  EXPECT_DOUBLE_EQ(pace->wall_seconds, 0.1);
}

TEST(Pace, IsNotKnownWhereNothingWasComputed) {
  for (const char* text :
       {"null", "{}", R"({"counts": {"computed": 0}, "seconds": 1, "stages": {"decode": 0}})",
        R"({"counts": {"written": 5}, "stages": {"decode": 1}})", R"({"counts": [], "stages": 3})"})
    EXPECT_FALSE(pace_of(json::parse(text))) << text;
}

TEST(Money, SaysWhatCounts) {
  EXPECT_EQ(money(12345.6, "EUR"), "12,346 EUR");
  EXPECT_EQ(money(12.3, "EUR"), "12.30 EUR");
  EXPECT_EQ(money(0.1262, "EUR"), "0.13 EUR");
  EXPECT_EQ(money(0.000967, "EUR"), "0.00097 EUR");
  EXPECT_EQ(money(0.0000031, "EUR"), "<0.0001 EUR");
  EXPECT_EQ(money(0, "EUR"), "0 EUR");
}

}  // namespace
}  // namespace pomona
