// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/pipeline/featurize.h"

namespace pomona {

struct EstimateOptions {
  FeaturizeOptions featurize;   // its dest is not used: nothing is kept
  std::uint64_t sample = 256;   // photos that are really computed
  double listing_seconds = 20;  // how long the listing may take; longer ones are counted up to there
  std::uint64_t seed = 1;       // of the sample
  nlohmann::json prices;        // see prices/; null = no bill
};

struct Estimate {
  std::uint64_t photos = 0;
  bool listed_all = true;  // else `photos` is a lower bound
  std::uint64_t sampled = 0;
  std::uint64_t sample_rejected = 0;
  double source_bytes = 0;  // of all photos
  double photos_per_second = 0;
  double seconds = 0;                      // for all photos, on this machine
  std::map<std::string, double> stage_ms;  // milliseconds of thread time per photo
  std::string slowest_stage;
  double output_bytes = 0;         // of the features
  std::uint64_t memory_bytes = 0;  // peak of the sample's run: it does not grow with the number of photos
  int threads = 0;
  int dimension = 0;
  nlohmann::json bill;  // null without prices
};

// Lists SOURCE, computes a random sample of its photos for real, and says what all of them would take.
// Throws Error as featurize() does.
Estimate estimate(const EstimateOptions& options, const Hooks& hooks, std::stop_token stop = {});

nlohmann::json to_json(const Estimate& estimate);

}  // namespace pomona
