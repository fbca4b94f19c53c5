// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/learn/moments.h"
#include "pomona/model/network.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/listing.h"

namespace pomona {

struct FeaturizeOptions {
  ListingOptions listing;
  std::string dest;  // folder or URI of the dataset
  NetworkOptions network;
  std::optional<Network> loaded;  // a network that is open already, in place of `network`
  std::string labels = "folder";  // folder | none | TABLE[:COLUMN]
  Format format = Format::kParquet;
  bool csv_packed = false;                      // CSV: the vector as one column of lists, see Schema
  std::uint64_t rows_per_file = 8192;           // photos listed per part; above a block's, about so many
  std::optional<std::uint64_t> bytes_per_file;  // instead: about so many bytes of vectors per part
  bool resume = false;        // go on where a run ended, or add what is new to a finished dataset
  bool overwrite = false;     // replace a finished dataset
  int threads = 0;            // workers; 0 = cpu_budget()
  int io_threads = 0;         // readers that wait for storage; 0 = 4 for local disks, 32 for stores
  bool moments = true;        // keep the moments for a PCA (not for very wide vectors: see max_moments_d)
  int max_moments_d = 8192;   // wider vectors get no moment matrix: d (d + 1) / 2 doubles
  nlohmann::json invocation;  // recorded as it is in `_run.json`
};

struct FeaturizeResult {
  std::uint64_t listed = 0;
  std::uint64_t written = 0;
  std::uint64_t rejected = 0;
  std::uint64_t computed = 0;   // vectors made in this run
  std::uint64_t reused = 0;     // vectors taken from parts or rows that an earlier run left
  std::uint64_t identical = 0;  // vectors taken from another photo of this run with the same bytes
  bool changed = true;          // the rows are not those of the finished dataset that stood there before
  double seconds = 0;
  double first_vector_seconds = 0;                      // from the start until the first vector was there
  std::map<std::string, double> stages;                 // seconds of thread time per stage
  std::map<std::string, std::uint64_t> reject_reasons;  // by "stage: reason", the first 100 kinds
  std::optional<Moments> moments;                       // of all rows of the dataset, in order
  Schema schema;
  Fingerprint fingerprint;
  double reject_rate() const {
    return listed == 0 ? 0 : static_cast<double>(rejected) / static_cast<double>(listed);
  }
};

// Photos -> a dataset of feature vectors at `dest`. One worker per core takes a small batch of encoded photos
// and runs it to completion; memory is bounded by workers x batch + read-ahead + open blocks. Rows, vectors
// and moments are bit-identical for any number of threads, and whether or not the run was interrupted and
// resumed. Every listed photo becomes a row or a row of `_rejects/`.
// Throws Error: kExists for a finished or foreign `dest` without overwrite/resume, kMismatch where a resumed
// dataset was made otherwise, kIo for a full disk or dead store (finished parts are kept), kCancelled.
FeaturizeResult featurize(const FeaturizeOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
