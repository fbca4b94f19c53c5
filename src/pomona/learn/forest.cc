// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <oneapi/dal/algo/decision_forest.hpp>
#include <oneapi/dal/table/homogen.hpp>

#include "pomona/base/error.h"
#include "pomona/learn/class_weights.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/row_blocks.h"

namespace pomona {
namespace {

namespace dal = oneapi::dal;
namespace df = dal::decision_forest;
using Split = dal::decision_tree::split_node_info<dal::decision_tree::task::classification>;
using Leaf = dal::decision_tree::leaf_node_info<dal::decision_tree::task::classification>;

// The largest float that is not above `value`: x <= value and x <= the result then agree for every float x.
float round_down(double value) {
  const auto rounded = static_cast<float>(value);
  if (static_cast<double>(rounded) <= value) return rounded;
  return std::nextafter(rounded, -std::numeric_limits<float>::infinity());
}

// Appends one tree, met depth first: a node, its left side, its right side.
class Appender {
 public:
  Appender(ForestHead& head, std::size_t classes) : head_(head), classes_(classes) {
    head_.roots.push_back(static_cast<std::int32_t>(head_.feature.size()));
  }

  bool operator()(const Split& node) {
    const std::int32_t at = attach();
    head_.feature[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(node.get_feature_index());
    head_.threshold[static_cast<std::size_t>(at)] = round_down(node.get_feature_value());
    open_.push_back({at, 0});
    return true;
  }

  bool operator()(const Leaf& node) {
    const std::int32_t at = attach();
    head_.left[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(head_.leaves.size() / classes_);
    for (std::size_t c = 0; c < classes_; ++c) {
      head_.leaves.push_back(static_cast<float>(node.get_probability(static_cast<std::int64_t>(c))));
    }
    return true;
  }

 private:
  struct Open {
    std::int32_t node;
    int children;
  };

  // A new node, hung below the innermost split that still lacks a child.
  std::int32_t attach() {
    const auto at = static_cast<std::int32_t>(head_.feature.size());
    head_.feature.push_back(-1);
    head_.threshold.push_back(0);
    head_.left.push_back(0);
    head_.right.push_back(0);
    if (!open_.empty()) {
      Open& parent = open_.back();
      auto& side = parent.children == 0 ? head_.left : head_.right;
      side[static_cast<std::size_t>(parent.node)] = at;
      if (++parent.children == 2) open_.pop_back();
    }
    return at;
  }

  ForestHead& head_;
  std::size_t classes_;
  std::vector<Open> open_;
};

}  // namespace

Classifier train_forest(const TrainingSet& set, const TrainOptions& options) {
  check_training_set(set);
  const std::size_t classes = set.labels.size();
  if (options.trees < 1 || options.trees > 100'000) {
    throw Error(ErrorCode::kUsage,
                fmt::format("A forest of {} trees was asked for: give 1 to 100,000.", options.trees));
  }
  const auto rows = static_cast<std::int64_t>(set.n);
  Classifier out;
  ForestHead head;
  try {
    std::vector<float> chosen;
    if (!set.rows.empty()) {
      const auto d = static_cast<std::size_t>(set.d);
      chosen.reserve(set.n * d);
      for_row_blocks(set.x, d, set.rows, set.n, kRowBlock,
                     [&](std::span<const float> block, std::size_t /*first*/, std::size_t /*count*/) {
                       chosen.insert(chosen.end(), block.begin(), block.end());
                     });
    }
    const auto x = dal::homogen_table::wrap(set.rows.empty() ? set.x.data() : chosen.data(), rows, set.d);
    const auto y = dal::homogen_table::wrap(set.y.data(), rows, 1);
    const auto descriptor =
        df::descriptor<float, df::method::hist, df::task::classification>{}
            .set_class_count(static_cast<std::int64_t>(classes))
            .set_tree_count(options.trees)
            .set_features_per_node(std::max<std::int64_t>(1, std::lround(std::sqrt(set.d))))
            .set_min_observations_in_leaf_node(1)
            .set_min_observations_in_split_node(2)
            .set_max_bins(256)
            .set_bootstrap(true)
            .set_memory_saving_mode(false)
            .set_seed(static_cast<std::int64_t>(options.seed % 0x7fffffff))
            .set_error_metric_mode(df::error_metric_mode::none)
            .set_variable_importance_mode(df::variable_importance_mode::none);
    const auto train = [&] {
      if (!options.balanced) return dal::train(descriptor, x, y);
      const std::vector<double> per_class = class_weights(set, true);
      std::vector<float> weights;
      for (const std::int32_t label : set.y) {
        weights.push_back(static_cast<float>(per_class[static_cast<std::size_t>(label)]));
      }
      return dal::train(descriptor, x, y, dal::homogen_table::wrap(weights.data(), rows, 1));
    };
    const auto model = train().get_model();
    for (std::int64_t tree = 0; tree < model.get_tree_count(); ++tree) {
      model.traverse_depth_first(tree, Appender(head, classes));
    }
  } catch (const dal::exception& error) {
    throw Error(ErrorCode::kInternal, fmt::format("The forest could not be trained: {}.", error.what()));
  }
  out.kind = "forest";
  out.d = set.d;
  out.labels = set.labels;
  out.record = {{"trees", options.trees},
                {"seed", options.seed},
                {"nodes", head.feature.size()},
                {"balanced", options.balanced}};
  out.head = std::move(head);
  return out;
}

}  // namespace pomona
