// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/base/progress.h"
#include "pomona/model/network.h"
#include "pomona/modelfile/predictor.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/listing.h"

namespace pomona {

// Reads a model file, local or from a store. Throws as read_model_file() does.
ModelFile load_model(const std::string& uri);

struct PredictOptions {
  std::string model;  // a model file, local or a URI
  ListingOptions listing;
  std::optional<std::vector<std::byte>> photo;  // one photo's bytes instead of a listing; its path is "-"
  Precision precision = Precision::kAuto;       // auto: as the model was trained, where this CPU can
  int threads = 0;                              // workers; 0 = cpu_budget(), no more than photos
  int io_threads = 0;                           // readers; 0 = 4 for local disks, 32 for stores
  bool compile_cache = true;
  bool strict = false;  // refuse another precision than that of training, instead of warning
};

// What became of one photo.
struct PredictedPhoto {
  RowInfo info;                      // path, width, height; hash is left zero
  std::optional<Prediction> answer;  // none: rejected
  std::optional<RejectRow> reject;
};

struct PredictResult {
  std::uint64_t listed = 0;
  std::uint64_t rejected = 0;
  double seconds = 0;
  double model_seconds = 0;              // until the model was read
  double network_seconds = 0;            // until the network was ready
  double first_answer_seconds = 0;       // until the first answer was there
  std::map<std::string, double> stages;  // seconds of thread time
  double reject_rate() const {
    return listed == 0 ? 0 : static_cast<double>(rejected) / static_cast<double>(listed);
  }
};

// Called in the order of the listing, rejects in their place, by one thread at a time.
using PredictSink = std::function<void(const PredictedPhoto&)>;

// Called once, when the model was read and before the first photo: for headings and schemas.
using ModelSink = std::function<void(const Predictor&)>;

// Photos -> answers of a model. Workers as in featurize(): each runs a batch from bytes to probabilities;
// memory is bounded however many photos there are. A photo that fails is answered with its reason.
// Throws Error: as read_model_file(), kNotFound for a source without photos, kMismatch (strict), kCancelled.
PredictResult predict(const PredictOptions& options, const ModelSink& on_model, const PredictSink& sink,
                      const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
