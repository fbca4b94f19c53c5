// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/learn/kmeans.h"

namespace pomona {

struct ClusterOptions {
  std::string dataset;   // components or features of photos, or a results folder of `run` (its components)
  std::optional<int> k;  // clusters; none = chosen by silhouette from 2 .. k_max
  int k_max = 20;
  std::size_t nearest = 5;  // photos to name for each cluster, the nearest to its centre
  std::string output;       // a .csv or .parquet with path, cluster; empty = none
  bool overwrite = false;   // replace that file
  double variance = 0.95;   // share kept by the PCA that is fitted where the dataset holds features
  std::uint64_t seed = 1;
  int threads = 0;  // changes the time, not the result; 0 = cpu_budget()
};

struct ClusterPhoto {
  std::string path;
  std::optional<std::string> label;
  double distance = 0;  // to the centre
};

struct ClusterSummary {
  std::size_t photos = 0;
  std::optional<std::string> label;   // the most frequent one of its labelled photos
  double label_share = 0;             // of its labelled photos
  std::vector<ClusterPhoto> nearest;  // to the centre, nearest first
};

struct ClusterResult {
  std::string source;  // what was read
  std::uint64_t photos = 0;
  std::uint64_t labelled = 0;
  int components = 0;                    // numbers a photo that were clustered
  bool reduced_here = false;             // features, by a PCA fitted for this
  KMeans kmeans;                         // assignments in the order of the dataset's rows
  std::vector<ClusterSummary> clusters;  // largest first
  // Against the labels, on the labelled photos; none where there are none.
  std::optional<double> purity, adjusted_rand, normalized_information;
};

// Groups of photos that look alike to the network, without looking at labels: k-means on components. Holds
// all components in memory. Throws Error: kUsage as kmeans() does, and for an output that is neither .csv nor
// .parquet; kExists for one that is there; kFormat where a number is not finite; as DatasetReader does.
ClusterResult cluster_photos(const ClusterOptions& options, const Hooks& hooks, std::stop_token stop = {});

// Without the assignments, which are in the output table.
nlohmann::json to_json(const ClusterResult& result);

// How well two ways to group the same things agree; a negative label leaves a thing out. 0 is what chance
// gives (Rand index adjusted for it: Hubert and Arabie, Comparing partitions, 1985), 1 is full agreement.
// Nothing where nothing is labelled. Throws Error{kMismatch} where sizes differ.
std::optional<double> adjusted_rand(std::span<const int> clusters, std::span<const int> labels);

// Mutual information over the mean of the two entropies, 0 .. 1 (Strehl and Ghosh 2002, with the arithmetic
// mean, as scikit-learn has it).
std::optional<double> normalized_information(std::span<const int> clusters, std::span<const int> labels);

}  // namespace pomona
