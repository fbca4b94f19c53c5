// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace pomona::server {

// Figures of a running server in Prometheus' text format, version 0.0.4. Labels are given as they stand in
// the text: route="/v1/classify",status="200" (see label()). Thread-safe. Series come from routes, models and
// named events only, never from what a client sent, so their number is bounded.
class Metrics {
 public:
  // `help` is one line; a histogram's upper bounds ascend.
  void describe_counter(const std::string& name, const std::string& help);
  void describe_gauge(const std::string& name, const std::string& help);
  void describe_histogram(const std::string& name, const std::string& help, std::vector<double> bounds);

  void add(const std::string& name, const std::string& labels = {}, double value = 1);
  void set(const std::string& name, double value, const std::string& labels = {});
  void observe(const std::string& name, double value, const std::string& labels = {});

  // The sum of a counter or gauge over its labels.
  double total(const std::string& name) const;

  std::string text() const;

  // name="value", escaped.
  static std::string label(std::string_view name, std::string_view value);

 private:
  struct Series {
    double value = 0;                    // counters, gauges; a histogram's sum
    std::vector<std::uint64_t> buckets;  // per bound, then the rest
  };
  struct Family {
    std::string type;
    std::string help;
    std::vector<double> bounds;
    std::map<std::string, Series> series;
  };

  void describe(const std::string& name, const std::string& type, const std::string& help,
                std::vector<double> bounds);

  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;
};

}  // namespace pomona::server
