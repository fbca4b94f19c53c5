// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/learn/calibrate.h"
#include "pomona/learn/metrics.h"
#include "pomona/learn/pca.h"
#include "pomona/modelfile/model_file.h"
#include "pomona/pipeline/training_data.h"

namespace pomona {

struct TrainingOptions {
  LabelledVectorsOptions data;
  std::string output;                                   // the model file to write
  std::string classifier = "logistic";                  // logistic | lda | forest
  std::map<std::string, std::string> classifiers = {};  // of single targets, where they differ
  bool select = false;                                  // try all three by cross-validation, keep the best
  std::optional<HeadInput> on;  // none: forests on components, linear heads on features
  PcaOptions pca{.k = 100, .variance = {}, .center = true};  // for heads on components
  double validation = 0.2;         // share held back where the photos name no Validation split
  int folds = 0;                   // instead: k-fold cross-validation; 0 = held back
  bool balanced = false;           // classes weigh the same
  double c = 1.0;                  // inverse of the L2 penalty of logistic
  int trees = 100;                 // of the forest
  double target_precision = 0.99;  // of answers called confident
  double unknown_share = 0.005;    // of validation photos that may be taken for unknown
  std::uint64_t seed = 1;
  int threads = 0;                     // changes the time, not the result; 0 = cpu_budget()
  bool overwrite = false;              // replace the model file
  std::optional<std::string> augment;  // textures | backgrounds=DIR: also train on the fruit cut off its
                                       // white background and set on others (samples/augment.h)
  int augment_variants = 1;            // of each training photo
  std::function<void()> before_writing = {};  // called right before the model file is written
  std::optional<Network> loaded;              // the network of the vectors, open already
  nlohmann::json invocation;
};

// What validation said about one head.
struct HeadReport {
  std::string target;
  std::string classifier;
  HeadInput on = HeadInput::kFeatures;
  Metrics validation;  // of photos the head had not seen
  ConfidentThreshold confident;
  std::vector<std::uint64_t> counts;  // training photos per class
  double seconds = 0;                 // to train the final head
};

// One row of the table of --select.
struct Candidate {
  std::string target;
  std::string classifier;
  HeadInput on = HeadInput::kFeatures;
  Metrics metrics;
  double seconds = 0;
  bool chosen = false;
};

struct TrainingResult {
  std::string path;                 // of the model file
  std::uint64_t trained_on = 0;     // photos
  std::uint64_t augmented = 0;      // photos made from them besides
  std::uint64_t held_for_test = 0;  // labelled photos of a Test split, not looked at
  std::uint64_t unlabelled = 0;     // photos of any split that no label tells of: left out
  std::string validated_by;         // "20 % held back", "5 folds", "the Validation split"
  std::vector<HeadReport> heads;    // one per target
  std::vector<Candidate> candidates;
  std::vector<std::string> warnings;
  std::map<std::string, double> stages;  // seconds
};

// Labelled photos, or a dataset made of them -> one ONNX file with network, PCA, heads, thresholds and
// record. Photos of a Test split are left alone. Heads are judged on photos they were not trained on,
// thresholds are set on those, and the final heads are trained on all training photos. The same seed gives
// the same file's heads for any number of threads. Throws Error: kExists without overwrite; kUsage (one class
// only, folds); kFormat (no labels, NaN); kUnavailable for a network that is not ONNX; kMismatch where the
// network is not the dataset's any more.
TrainingResult train(const TrainingOptions& options, const Hooks& hooks, std::stop_token stop = {});

// A model that is not written yet.
struct TrainedModel {
  ModelFile model;
  TrainingResult result;  // its path is empty
};

// The same for vectors in memory, made with `network`: photos of a Test split are left alone.
TrainedModel train_model(const TrainingOptions& options, LabelledVectors data, const Network& network,
                         const Hooks& hooks, std::stop_token stop = {});

// Writes a model file to a local path or URI, whole or not at all. Stores of contributions note first that it
// is made with them.
void publish_model(const ModelFile& model, const std::string& output, const LabelledVectors& data);

// The share of neighbours in the listing, of one class, that are nearly alike (cosine above 0.98): high where
// photos are frames of one film.
// x: rows x dimension.
double alike_neighbours(std::span<const float> x, int dimension, std::size_t rows,
                        const TargetLabels& target);

}  // namespace pomona
