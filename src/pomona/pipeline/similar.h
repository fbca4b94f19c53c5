// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/base/progress.h"
#include "pomona/model/network.h"

namespace pomona {

struct SimilarOptions {
  std::string dataset;               // features of photos: a dataset, or a results folder of `run`
  std::vector<std::string> photos;   // what to look for: local paths or URIs
  std::optional<std::string> model;  // network or model file; none = what the dataset's `_run.json` names
  std::size_t n = 12;
  int threads = 0;      // 0 = cpu_budget()
  bool strict = false;  // refuse another precision than the dataset's, instead of warning
};

struct SimilarPhoto {
  std::string path;
  std::optional<std::string> label;
  double similarity = 0;  // cosine, -1 .. 1
};

struct SimilarResult {
  std::string photo;
  std::vector<SimilarPhoto> nearest;  // best first; the photo itself is among them where the dataset holds it
  std::optional<std::string> rejected;  // the reason, where the photo could not be read
};

// The photos of a dataset nearest to others by cosine of their features. Exact: every row is compared.
// Throws Error{kMismatch} where the network is not the one that made the dataset, with both spelled out;
// kUsage for a dataset of components or without a record of its network; as DatasetReader and Network::load
// do.
std::vector<SimilarResult> find_similar(const SimilarOptions& options, const Hooks& hooks,
                                        std::stop_token stop = {});

}  // namespace pomona
