// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <gtest/gtest.h>

namespace pomona::server {
namespace {

TEST(Metrics, TextIsPrometheus) {
  Metrics metrics;
  metrics.describe_counter("photos_total", "Photos.");
  metrics.describe_histogram("seconds", "Time.", {0.1, 1});
  metrics.add("photos_total", Metrics::label("model", "a\"b\\c\n"), 2);
  metrics.add("photos_total", Metrics::label("model", "a\"b\\c\n"));
  metrics.observe("seconds", 0.1, "route=\"/\"");
  metrics.observe("seconds", 0.5, "route=\"/\"");
  metrics.observe("seconds", 7, "route=\"/\"");
  EXPECT_EQ(metrics.text(),
            "# HELP photos_total Photos.\n"
            "# TYPE photos_total counter\n"
            "photos_total{model=\"a\\\"b\\\\c\\n\"} 3\n"
            "# HELP seconds Time.\n"
            "# TYPE seconds histogram\n"
            "seconds_bucket{route=\"/\",le=\"0.1\"} 1\n"
            "seconds_bucket{route=\"/\",le=\"1\"} 2\n"
            "seconds_bucket{route=\"/\",le=\"+Inf\"} 3\n"
            "seconds_sum{route=\"/\"} 7.6\n"
            "seconds_count{route=\"/\"} 3\n");
}

}  // namespace
}  // namespace pomona::server
