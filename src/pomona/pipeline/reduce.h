// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/learn/moments.h"
#include "pomona/learn/pca.h"
#include "pomona/storage/dataset.h"

namespace pomona {

struct ReduceOptions {
  std::string features;            // dataset of vectors
  std::string dest;                // dataset of components
  std::optional<std::string> pca;  // a saved PCA to apply; none = fit one here
  PcaOptions fit{.k = {}, .variance = 0.95, .center = true};
  std::optional<std::string> save_pca;  // where the PCA goes; none = DEST/_pca.bin
  Format format = Format::kParquet;
  bool csv_packed = false;                    // CSV: the components as one column of lists, see Schema
  std::optional<std::string> csv;             // also one CSV file with all rows
  bool overwrite = false;                     // replace a dataset at `dest`
  bool strict = false;                        // refuse a PCA fitted at another precision, instead of warning
  int threads = 0;                            // 0 = cpu_budget()
  std::optional<Moments> moments;             // of the features, where the caller has them
  std::uint64_t max_wide_bytes = 4ull << 30;  // vectors wider than moments allow must fit here as a whole
  nlohmann::json invocation;
};

struct ReduceResult {
  std::uint64_t rows = 0;
  int d = 0;
  int k = 0;
  double explained = 0;  // share of the variance
  Pca pca;
  std::string pca_file;
  double seconds = 0;
  std::map<std::string, double> stages;  // seconds
};

// A dataset of vectors -> a dataset of principal components, part by part, and the PCA itself. The same bits
// for any number of threads.
// Throws Error: kMismatch where a saved PCA belongs to other features, kExists, kUsage (k too large; vectors
// too wide: names --pool avg), kIo.
ReduceResult reduce(const ReduceOptions& options, const Hooks& hooks, std::stop_token stop = {});

// What reduce() is made of, for jobs that run on several machines.

// The PCA of `options.pca` as it suits these features: checked against their fingerprint, cut to `fit.k`.
// Throws Error{kMismatch | kNotFound | kFormat}; a difference of precision goes to `hooks.warning`.
Pca saved_pca(const DatasetReader& features, const ReduceOptions& options, const Hooks& hooks);
// What a PCA keeps about the features it was fitted on.
nlohmann::json pca_record(const DatasetReader& features, const std::string& place);
// The widest vectors that get a moment matrix.
int widest_moments();
// A PCA that moments cannot give: of vectors wider than widest_moments(), all in memory at once.
Pca fit_wide(const DatasetReader& features, const ReduceOptions& options);
Schema reduced_schema(const Schema& features, int k, const ReduceOptions& options);
nlohmann::json reduced_header(std::string_view pca_bytes);
// Throws Error{kUsage} where `dest` is the dataset that is reduced: replacing it would remove what is read.
void require_elsewhere(const Store& features, const Store& dest);
// Part `index` of the features -> the same part of components. `on_rows` hears of each block's rows; where it
// returns false the part is given up and there is none.
std::optional<PartRecord> reduce_part(const DatasetReader& features, std::size_t index, const Pca& pca,
                                      PartWriter&& writer, const std::function<bool(std::size_t)>& on_rows);
// Writes the PCA's file, `_run.json` and the rest that ends the dataset. Sets `result.pca_file`; `more` is
// added to `_run.json`.
void finish_reduced(const Store& dest, ReduceResult& result, const DatasetReader& features,
                    const ReduceOptions& options, const std::string& run_id,
                    const std::vector<PartRecord>& records, const nlohmann::json& more);

// Reads a PCA file, local or remote. Throws Error{kNotFound | kFormat}.
Pca load_pca(const std::string& uri);

// The PCA that made the components of `dataset`, whose `_run.json` is `run`: from the file that it names or,
// where that has gone or holds another PCA by now, from beside the dataset. Throws Error{kNotFound |
// kMismatch | kFormat}.
Pca pca_of_run(const nlohmann::json& run, const std::string& dataset);

}  // namespace pomona
