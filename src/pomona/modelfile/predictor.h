// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pomona/modelfile/model_file.h"

namespace pomona {

// What one target's head says about one photo.
struct TargetAnswer {
  int best = 0;            // index into the target's labels
  float probability = 0;   // of `best`
  bool confident = false;  // the probability reaches the calibrated threshold, and the photo is not unknown
};

// What a model says about one photo.
struct Prediction {
  std::vector<TargetAnswer> targets;              // in the order of the model's targets
  std::vector<std::vector<float>> probabilities;  // per target, per class
  std::optional<float> distance;                  // to what training knew; none without a detector
  bool unknown = false;                           // unlike anything in training

  // The n best classes of target t: (index, probability), best first; ties by index.
  std::vector<std::pair<int, float>> top(std::size_t t, std::size_t n) const;
};

// The heads of a model at work on feature vectors: PCA, linear heads and forests computed natively, equal to
// ONNX Runtime's answers for the same file to 1e-5. A row's answer does not depend on the rows around it.
// Copies share the model. Thread-safe.
class Predictor {
 public:
  static Predictor load(const std::filesystem::path& file);  // Throws as read_model_file() does.
  explicit Predictor(ModelFile model);  // Throws Error{kUsage} where its parts do not fit.

  const ModelFile& model() const;
  int dimension() const;  // d of the features it takes

  // x: rows x d features.
  std::vector<Prediction> predict(std::span<const float> x, std::size_t rows) const;

  // From components (rows x k), for reduced datasets. A detector of unknown photos that works on features is
  // left out: no distance, nothing unknown. Throws Error{kUsage} where a head needs features.
  std::vector<Prediction> predict_components(std::span<const float> y, std::size_t rows) const;

  // The same in two steps, for those who keep answers in an array: `width` numbers per photo (the classes'
  // probabilities, target after target, then the distance), and what they mean.
  std::size_t width() const;
  void predict_numbers(std::span<const float> x, std::size_t rows, std::span<float> numbers) const;
  Prediction prediction(std::span<const float> numbers) const;

  // True where all heads work on components.
  bool takes_components() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace pomona
