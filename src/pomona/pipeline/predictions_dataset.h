// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "pomona/pipeline/predict.h"

namespace pomona {

// Answers as a Parquet dataset:
//   DEST/part-00000-<run id>.snappy.parquet  path, width, height, then per target label, probability (float),
//     confident (bool), top (list of struct<label, probability>), the columns of further targets ending in
//     _<target>; unknown (bool), distance (float?); stage, reason (null but for rejected photos)
//   DEST/_SUCCESS, DEST/_run.json
// It appears whole or not at all: without finish() nothing is published. Not thread-safe.
class PredictionsWriter {
 public:
  // Throws Error{kExists} where something stands at `dest` and `overwrite` is off, or where it is not ours.
  PredictionsWriter(const std::string& dest, const Predictor& predictor, int top, bool overwrite);
  ~PredictionsWriter();
  PredictionsWriter(PredictionsWriter&&) noexcept;

  void add(const PredictedPhoto& photo);  // Throws Error{kIo}.
  void finish(nlohmann::json run);        // `run` goes into `_run.json`, with counts and fingerprint added

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pomona
