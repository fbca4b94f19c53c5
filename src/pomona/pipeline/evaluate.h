// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/learn/metrics.h"
#include "pomona/modelfile/predictor.h"
#include "pomona/pipeline/components_needed.h"
#include "pomona/pipeline/train.h"
#include "pomona/pipeline/training_data.h"

namespace pomona {

struct EvaluationOptions {
  std::string model;  // a model file
  LabelledVectorsOptions data;
  std::optional<std::string> split;  // only photos of this split; none: Test where there is one, else all
  bool strict = false;               // refuse features of another precision, instead of warning
  std::size_t mistakes = 24;         // how many of the most confident ones to list
  bool components_needed = false;    // also how few components suffice, where the data hold training photos
  std::uint64_t seed = 1;            // of what is held back for that where no split names it
  int threads = 0;                   // 0 = cpu_budget()
};

struct Mistake {
  std::string path;
  std::string label;
  std::string predicted;
  double probability = 0;  // of the predicted class
};

struct TargetEvaluation {
  std::string target;
  std::string classifier;  // logistic, ...
  Metrics metrics;
  // Each photo of the metrics is one of three. A photo that is unknown is never confident.
  std::uint64_t confident_photos = 0;  // probability at or above the head's threshold
  std::uint64_t unsure_photos = 0;     // below it
  std::uint64_t unknown_photos = 0;    // unlike all photos of training
  double confident = 0;                // share of photos answered with confidence
  double confident_precision = 0;      // share of those that are right
  std::vector<Mistake> mistakes;       // the most confident first
  std::uint64_t mistakes_total = 0;
  std::uint64_t foreign = 0;          // photos of classes the model does not know; not in the metrics
  std::uint64_t foreign_unknown = 0;  // of those, how many are taken for unknown
};

struct Evaluation {
  std::vector<TargetEvaluation> targets;
  std::string split;  // "Test", or "all"
  std::uint64_t rejected = 0;
  std::uint64_t unlabelled = 0;  // photos of the split that no label tells of; not in the metrics
  double unknown = 0;            // share of photos taken for unknown
  std::optional<ComponentsNeeded> components;
};

// How good a model is on labelled photos or a dataset of its own features (or components).
// Throws Error{kMismatch} for a dataset of another network, with both fingerprints spelled out; as
// load_labelled_vectors() and read_model_file() do.
Evaluation evaluate(const EvaluationOptions& options, const Hooks& hooks, std::stop_token stop = {});

// As `pomona evaluate --json` prints it; the report reads it from evaluation.json. The first target's figures
// stand on top, further ones under "targets".
nlohmann::json to_json(const Evaluation& evaluation);

// The same for a model that has no Test photos to be judged by: what validation said when it was trained (no
// mistakes are listed), and how few components suffice, on `data` (what it was trained on).
nlohmann::json validation_json(const TrainingResult& trained, const LabelledVectorsOptions& data,
                               std::uint64_t seed, int threads, const Hooks& hooks,
                               std::stop_token stop = {});

}  // namespace pomona
