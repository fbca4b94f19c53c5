// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "pomona/learn/classifier.h"

namespace pomona {

// One weight per class: 1, or where balanced n / (classes x rows of the class). Internal to learn/.
inline std::vector<double> class_weights(const TrainingSet& set, bool balanced) {
  std::vector<double> weights(set.labels.size(), 1.0);
  if (!balanced) return weights;
  std::vector<double> counts(weights.size());
  for (const std::int32_t label : set.y) counts[static_cast<std::size_t>(label)] += 1;
  for (std::size_t c = 0; c < weights.size(); ++c) {
    weights[c] = static_cast<double>(set.n) / (static_cast<double>(weights.size()) * counts[c]);
  }
  return weights;
}

}  // namespace pomona
