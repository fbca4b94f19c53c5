// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "command.h"
#include "pomona/pipeline/evaluate.h"
#include "pomona/pipeline/train.h"

namespace pomona::cli {

// Flags of `train` that `run` has too.
struct ClassifierFlags {
  std::string classifier = "logistic";
  bool select = false;
  std::optional<std::string> on;
  int components = 100;
  std::string class_weight = "none";
  std::optional<std::string> groups;
  double validation = 0.2;
  int folds = 0;
  double target_precision = 0.99;
  std::optional<std::string> augment;
  int augment_variants = 1;
  int trees = 100;
  double c = 1.0;
  std::uint64_t seed = 1;
};

void add_classifier_flags(CLI::App& app, ClassifierFlags& flags);
void apply(const ClassifierFlags& flags, TrainingOptions& options);
void print_trained(const TrainingResult& result);
// One line per target; the whole table with `per_class`.
void print_evaluation(const Evaluation& evaluation, bool per_class);

}  // namespace pomona::cli
