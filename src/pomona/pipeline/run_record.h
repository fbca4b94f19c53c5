// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace pomona {

// When each stage of a job ran, and how fast the job went: the `timeline` and `rate` of `_run.json`.
// Seconds are counted from the job's start. Not thread-safe.
class RunRecord {
 public:
  // A stage may run several times; each begin() needs its end().
  void begin(const std::string& stage, double seconds);
  void end(const std::string& stage, double seconds);
  // Done so far. Samples are thinned out: at most a few hundred are kept, evenly spread.
  void sample(double seconds, std::uint64_t done);

  nlohmann::json timeline() const;  // [{"stage", "begin", "end", "lane"}]
  nlohmann::json rate() const;      // [[seconds, done], ...]

 private:
  struct Span {
    std::string stage;
    double begin;
    double end;
  };
  std::vector<Span> spans_;
  std::vector<std::pair<double, std::uint64_t>> samples_;
  double spacing_ = 0.5;
};

// What the job ran on and with: versions, CPU, thread budget.
nlohmann::json machine_record();

// Now, as 2026-11-21T04:15:44Z.
std::string utc_now();

}  // namespace pomona
