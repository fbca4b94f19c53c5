// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace pomona {

// Turns logits into probabilities in place; gives log(sum(exp(logits))). Internal to learn/.
template <typename T>
double softmax(std::span<T> row) {
  const T largest = *std::ranges::max_element(row);
  double sum = 0;
  for (T& value : row) {
    value = std::exp(value - largest);
    sum += static_cast<double>(value);
  }
  const T scale = static_cast<T>(1 / sum);
  for (T& value : row) value *= scale;
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace pomona
