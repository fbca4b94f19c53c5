// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/pipeline/featurize.h"
#include "pomona/storage/dataset.h"

namespace pomona {

// What is to be told about each photo, for one target.
struct TargetLabels {
  std::string name;                 // "label", or the column's name
  std::vector<std::string> labels;  // the classes, sorted
  std::vector<int> y;               // n; index into labels, -1 where the photo has none
};

// A dataset in memory, with its labels: what is trained and evaluated on.
struct LabelledVectors {
  std::string source;  // where it came from, for messages
  Schema schema;       // vector_column says whether x are features or components
  nlohmann::json run;  // `_run.json` of the dataset; null where there is none
  std::size_t n = 0;
  int d = 0;
  std::vector<float> x;  // n x d
  std::vector<std::string> paths;
  std::vector<std::optional<std::string>> splits;
  std::vector<TargetLabels> targets;
  std::vector<std::int64_t> groups;  // n, or empty: photos of equal number belong together
  std::uint64_t rejected = 0;        // photos that could not be made into vectors
};

struct LabelledVectorsOptions {
  std::string source;             // a dataset, a results folder of `run` (its features are taken), or photos
  std::string labels = "folder";  // folder = the dataset's label column | TABLE[:COLUMN,...]
  std::optional<std::string> groups;  // a column of the table, or a regular expression on the path: photos
                                      // with the same value (first capture, else the match) belong together
  FeaturizeOptions featurize;  // how photos become vectors, where `source` holds photos
};

// Reads everything into memory: n x d floats and the paths.
// Throws Error: kNotFound; kFormat where no photo has a label, or vectors hold NaN; kUsage for a bad column
// or expression; kExists as featurize() does.
LabelledVectors load_labelled_vectors(const LabelledVectorsOptions& options, const Hooks& hooks,
                                      std::stop_token stop);

}  // namespace pomona
