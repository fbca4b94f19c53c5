// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "pomona/pipeline/featurize.h"
#include "pomona/pipeline/reduce.h"

namespace pomona::cli {

// Flags that several verbs share, as typed.
struct PhotoFlags {
  std::vector<std::string> sources;
  std::optional<std::string> glob;
  std::optional<std::string> paths_from;
  std::optional<std::uint64_t> limit;
};

struct NetworkFlags {
  std::string model = "efficientnet-lite0";
  std::optional<std::string> preprocess;
  std::string layer = "penultimate";
  std::string pool = "auto";
  std::optional<int> input_size;
  std::string precision = "auto";
  std::optional<std::string> resize;
  std::optional<std::string> fit;
  std::string jpeg_scale = "auto";
  bool no_exif = false;
  int batch = 0;
};

struct OutputFlags {
  std::string format = "parquet";
  std::string csv_layout = "wide";
  std::string labels = "folder";
  std::uint64_t rows_per_file = 8192;
  std::optional<std::string> bytes_per_file;
  bool resume = false;
  bool overwrite = false;
  double max_reject_rate = 0.01;
  int threads = 0;
};

struct ReduceFlags {
  std::optional<int> components;
  std::optional<double> variance;
  std::optional<std::string> pca;
  bool no_center = false;
};

void add_photo_flags(CLI::App& app, PhotoFlags& flags);
void add_network_flags(CLI::App& app, NetworkFlags& flags);
void add_output_flags(CLI::App& app, OutputFlags& flags);
void add_reduce_flags(CLI::App& app, ReduceFlags& flags);

// As the library wants them. Throw Error{kUsage}.
ListingOptions listing_options(const PhotoFlags& flags);
NetworkOptions network_options(const NetworkFlags& flags);
FeaturizeOptions featurize_options(const PhotoFlags& photos, const NetworkFlags& network,
                                   const OutputFlags& output, const std::string& dest,
                                   const Context& context);
PcaOptions pca_options(const ReduceFlags& flags);

// What was typed, for `_run.json`. Values of flags that carry secrets do not exist: credentials come from the
// environment only.
nlohmann::json invocation(const Context& context);

// kTooManyRejects with a sentence on stderr where the rate is over the limit, else kDone.
int exit_for_rejects(const FeaturizeResult& result, double max_reject_rate, const std::string& dest);

// "results/features: 7,478 rows of 1,280 in 9.6 s (779 photos/s), 0 rejected" and what follows from it.
void print_featurized(const FeaturizeResult& result, const std::string& dest);
void print_reduced(const ReduceResult& result, const std::string& dest);

// "512MB", "1GiB", "4096" -> bytes. Throws Error{kUsage}.
std::uint64_t parse_bytes(const std::string& text);

}  // namespace pomona::cli
