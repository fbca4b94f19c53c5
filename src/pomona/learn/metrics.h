// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace pomona {

// A share with its 95 % confidence interval (Wilson 1927), all in [0, 1].
struct Share {
  double value = 0;
  double low = 0;
  double high = 0;
};

// successes of trials; {0, 0, 1} where there were none.
Share wilson(std::uint64_t successes, std::uint64_t trials);

struct ClassMetrics {
  std::string label;
  double precision = 0;  // 0 where the class was never predicted
  double recall = 0;     // 0 where the class has no photo
  double f1 = 0;
  std::uint64_t support = 0;  // photos that are of the class
};

// How good a classifier is, as scikit-learn's metrics define it (zero_division = 0).
struct Metrics {
  std::uint64_t photos = 0;
  Share accuracy;
  Share top3;                                         // the true class is among the three most probable
  double balanced_accuracy = 0;                       // mean recall over the classes that occur
  double macro_f1 = 0;                                // mean F1 over the classes that occur or were predicted
  double log_loss = 0;                                // mean of -log p(true class), p clipped at 1e-15
  std::vector<ClassMetrics> classes;                  // in the order of the labels
  std::vector<std::vector<std::uint64_t>> confusion;  // [true][predicted]
};

// `truth`: a class index per photo. `probabilities`: photos x labels.size(), row-major; the most probable
// class is the prediction, ties go to the lower index. Throws Error{kUsage} on wrong sizes or an index out of
// range.
Metrics measure(std::span<const int> truth, std::span<const float> probabilities,
                const std::vector<std::string>& labels);

nlohmann::json to_json(const Metrics& metrics);

}  // namespace pomona
