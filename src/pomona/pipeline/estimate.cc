// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <random>
#include <vector>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/pipeline/bill.h"
#include "pomona/pipeline/scratch_folder.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

}  // namespace

Estimate estimate(const EstimateOptions& options, const Hooks& hooks, std::stop_token stop) {
  using std::chrono::steady_clock;
  Estimate result;
  FeaturizeOptions featurize_options = options.featurize;
  for (std::string& source : featurize_options.listing.sources) {
    if (!is_remote_uri(source)) source = fs::absolute(source).lexically_normal().string();
  }

  // Reservoir sampling (Vitter's algorithm R): every photo is as likely, and memory holds the sample only.
  std::vector<std::string> sample;
  std::mt19937_64 random(options.seed);
  double known_bytes = 0;
  const auto begin = steady_clock::now();
  list_photos(
      featurize_options.listing,
      [&](Entry&& entry) {
        ++result.photos;
        known_bytes += static_cast<double>(std::max<std::int64_t>(entry.bytes, 0));
        if (sample.size() < options.sample) {
          sample.push_back(std::move(entry.path));
        } else if (const std::uint64_t at = random() % result.photos; at < options.sample) {
          sample[at] = std::move(entry.path);
        }
        const double spent = std::chrono::duration<double>(steady_clock::now() - begin).count();
        result.listed_all = spent < options.listing_seconds;
        return result.listed_all && !stop.stop_requested();
      },
      stop);
  if (sample.empty()) throw Error(ErrorCode::kNotFound, "no photos were found to estimate from");

  const ScratchFolder scratch;
  std::ranges::sort(sample);
  std::string list;
  // NUL-separated: names may hold newlines. The last NUL makes a list of one such.
  for (const std::string& path : sample) list += path + '\0';
  write_file_atomically(scratch.path() / "sample", list);
  featurize_options.listing = {};
  featurize_options.listing.paths_from = (scratch.path() / "sample").string();
  featurize_options.dest = (scratch.path() / "features").string();
  featurize_options.labels = "none";
  const FeaturizeResult run = featurize(featurize_options, hooks, stop);

  result.sampled = run.listed;
  result.sample_rejected = run.rejected;
  result.dimension = run.schema.d;
  result.threads = featurize_options.threads > 0 ? featurize_options.threads : cpu_budget();
  const auto n = static_cast<double>(std::max<std::uint64_t>(run.listed, 1));
  double busiest = 0;
  for (const auto& [stage, seconds] : run.stages) {
    if (stage == "wait") continue;
    result.stage_ms[stage] = 1000 * seconds / n;
    if (seconds > busiest) busiest = seconds, result.slowest_stage = stage;
  }
  // What starting costs (reading and compiling the network) is paid once, not per photo.
  const double busy = worker_seconds(run.stages);
  result.photos_per_second = busy > 0 ? n * result.threads / busy : 0;
  const auto all = static_cast<double>(result.photos);
  result.seconds =
      (result.photos_per_second > 0 ? all / result.photos_per_second : 0) + run.first_vector_seconds;
  std::uint64_t output = 0;
  for (const auto& file : fs::recursive_directory_iterator(featurize_options.dest)) {
    if (file.is_regular_file() && file.path().filename().string().starts_with("part-"))
      output += file.file_size();
  }
  result.output_bytes = static_cast<double>(output) / n * all;
  result.source_bytes = known_bytes;
  result.memory_bytes = peak_rss_bytes();
  const double thread_seconds = result.seconds * result.threads;
  result.bill = bill_for({all, thread_seconds, result.source_bytes, result.output_bytes}, options.prices);
  return result;
}

nlohmann::json to_json(const Estimate& e) {
  return {{"photos", e.photos},
          {"listed_all", e.listed_all},
          {"sampled", e.sampled},
          {"sample_rejected", e.sample_rejected},
          {"source_bytes", e.source_bytes},
          {"photos_per_second", e.photos_per_second},
          {"seconds", e.seconds},
          {"stage_ms", e.stage_ms},
          {"slowest_stage", e.slowest_stage},
          {"output_bytes", e.output_bytes},
          {"memory_bytes", e.memory_bytes},
          {"threads", e.threads},
          {"dimension", e.dimension},
          {"bill", e.bill}};
}

}  // namespace pomona
