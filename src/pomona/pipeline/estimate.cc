// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/estimate.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/pipeline/bill.h"
#include "pomona/pipeline/photo_sample.h"
#include "pomona/pipeline/scratch_folder.h"

namespace pomona {

namespace fs = std::filesystem;

Estimate estimate(const EstimateOptions& options, const Hooks& hooks, std::stop_token stop) {
  Estimate result;
  FeaturizeOptions featurize_options = options.featurize;
  for (std::string& source : featurize_options.listing.sources) {
    if (!is_remote_uri(source)) source = fs::absolute(source).lexically_normal().string();
  }

  PhotoSample sample =
      sample_photos(featurize_options.listing, {options.sample, options.listing_seconds, options.seed}, stop);
  result.photos = sample.listed;
  result.listed_all = sample.listed_all;

  const ScratchFolder scratch;
  std::string list;
  // NUL-separated: names may hold newlines. The last NUL makes a list of one such.
  for (const Entry& photo : sample.photos) list += photo.path + '\0';
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
  result.source_bytes = sample.bytes;
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
