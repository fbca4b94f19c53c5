// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace pomona {

// Multinomial linear classifier: p = softmax(W x + b). Logistic regression and LDA end as this.
// Standardizing, where it was used in training, is folded into W and b.
struct LinearHead {
  int classes = 0;
  int d = 0;
  std::vector<float> weights;  // classes x d, row-major
  std::vector<float> bias;     // classes
};

// Trees as arrays over all nodes of all trees; p = mean over trees of the reached leaf's class shares.
struct ForestHead {
  int classes = 0;
  int d = 0;
  std::vector<std::int32_t> roots;    // node index of each tree's root; a tree's nodes stand together
  std::vector<std::int32_t> feature;  // per node; -1 marks a leaf
  std::vector<float> threshold;       // per node: x[feature] <= threshold goes left
  std::vector<std::int32_t> left;     // per node; of a leaf: its row in `shares`
  std::vector<std::int32_t> right;    // per node; of a leaf: unused, 0
  std::vector<float> shares;          // leaves x classes, each row sums to 1
};

}  // namespace pomona
