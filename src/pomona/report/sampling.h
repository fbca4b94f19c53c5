// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pomona/report/report_data.h"

namespace pomona {

// How many of `most` each stratum gets: a small one up to 20 whole, the rest in proportion to the sizes
// (largest remainders). Never more than a stratum has; together at most `most`.
std::vector<std::size_t> stratified_quota(std::span<const std::uint64_t> sizes, std::size_t most);

// The place of a photo in a random order that `seed` decides, whatever the order it is met in.
std::uint64_t random_priority(std::string_view path, std::uint64_t seed);

struct SampledRow {
  std::uint64_t priority = 0;
  std::string path;
  std::vector<float> values;
};

// Draws rows at random within each stratum, in one pass and bounded memory. The draw depends on paths and
// seed alone, not on the order of the rows. Not thread-safe.
class StratifiedSampler {
 public:
  StratifiedSampler(std::span<const std::uint64_t> sizes, std::size_t most, std::uint64_t seed);

  // Throws Error{kInternal} where there is no such stratum.
  void offer(std::string_view path, std::size_t stratum, std::span<const float> values);

  // What was drawn, per stratum, in random order. Call once.
  std::vector<std::vector<SampledRow>> take();

 private:
  std::vector<std::size_t> quota_;
  std::vector<std::vector<SampledRow>> heaps_;  // the row with the greatest priority on top
  std::uint64_t seed_;
};

// Quantiles of many numbers from a sample of at most 1,024 of them; extremes are exact. Not thread-safe.
class SizeSketch {
 public:
  // `priority` as from random_priority().
  void add(double value, std::uint64_t priority);
  bool empty() const { return kept_.empty(); }
  SizeQuantiles quantiles() const;

 private:
  std::vector<std::pair<std::uint64_t, double>> kept_;  // a heap by priority
  double minimum_ = 0;
  double maximum_ = 0;
};

// The photos with the least and the greatest value along one direction. Not thread-safe.
class EndsKeeper {
 public:
  explicit EndsKeeper(std::size_t each) : each_(each) {}
  void offer(float value, const std::string& path);

  // At most `most` paths of each end, spread over what was kept so that near-duplicates do not fill the row;
  // the outermost first.
  std::vector<std::string> low(std::size_t most) const;
  std::vector<std::string> high(std::size_t most) const;

 private:
  struct Photo {
    float value;
    std::string path;
  };
  std::size_t each_;
  std::vector<Photo> low_;  // heaps with the innermost on top
  std::vector<Photo> high_;
};

}  // namespace pomona
