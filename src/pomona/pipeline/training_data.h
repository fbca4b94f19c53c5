// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/hash.h"
#include "pomona/base/progress.h"
#include "pomona/pipeline/featurize.h"
#include "pomona/storage/dataset.h"

namespace pomona {

class ScratchFolder;

// What is to be told about each photo, for one target.
struct TargetLabels {
  std::string name;                 // "label", or the column's name
  std::vector<std::string> labels;  // the classes, sorted
  std::vector<int> y;               // n; index into labels, -1 where the photo has none
};

// Contributions that were read, for their store to note what is made with them.
struct UsedContributions {
  std::string folder;
  std::vector<std::int64_t> ids;
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
  std::vector<ContentHash> hashes;   // n; zeros where the source does not say (CSV)
  std::vector<int> origins;          // n: which source the photo came from, 0 being the first
  std::vector<UsedContributions> contributions;
  std::shared_ptr<const ScratchFolder> scratch;  // where contributed photos in `paths` lie

  bool labelled(std::size_t row) const;  // for one target or more
};

struct LabelledVectorsOptions {
  // A dataset, a results folder of `run` (its features are taken), a folder of contributions, or photos.
  std::string source;
  std::vector<std::string> further =
      {};                         // more of them, of the same network; photos that come twice count once
  std::string labels = "folder";  // folder = the dataset's label column | TABLE[:COLUMN,...]
  // The targets there must be, first; empty: those of the labels. A single target of another name is taken
  // for a single one here.
  std::vector<std::string> targets = {};
  std::optional<std::string> groups;  // a column of the table, or a regular expression on the path: photos
                                      // with the same value (first capture, else the match) belong together
  FeaturizeOptions featurize;  // how photos become vectors, where a source holds photos; where others are
                               // datasets, the network that made the first of these does it instead
  nlohmann::json network_asked = {};  // what was asked for of that network: see network_of_run()
};

// Reads everything into memory: n x d floats and the paths. Contributions bring labels of their own, whatever
// `labels` says.
// Throws Error: kNotFound; kFormat where no photo has a label, or vectors hold NaN; kUsage for a bad column
// or expression, a target that no label tells of, several sources of components; kMismatch where sources are
// of different networks; kExists as featurize() does.
LabelledVectors load_labelled_vectors(const LabelledVectorsOptions& options, const Hooks& hooks,
                                      std::stop_token stop);

// Notes in each store of contributions that a dataset or model is made with them. To be called before it is
// there.
void record_contributions(const LabelledVectors& data, const std::string& kind, const std::string& name,
                          const std::string& sha256);

}  // namespace pomona
