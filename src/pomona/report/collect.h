// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/base/progress.h"
#include "pomona/report/report_data.h"

namespace pomona {

struct CollectOptions {
  std::string dest;             // results of `pomona run`: a folder or URI; also a dataset alone
  std::string title;            // empty = the folder's name
  std::size_t points = 20'000;  // most photos in the scatter
  int components = 6;           // of the scatter, most
  std::size_t pictures = 600;   // most pictures that hover in the scatter
  std::size_t sample = 56;      // photos of the grid
  int ends = 8;                 // components whose ends are shown
  std::size_t mistakes = 24;    // most mistakes shown
  std::uint64_t seed = 1;       // of the samples
  int thumbnail_side = 64;      // pixels; 0 = no pictures at all (photos not reachable, or not to be shown)
  int threads = 0;              // for pictures; 0 = cpu_budget()

  // Clusters of the scatter's points (n x components, row-major): n numbers from 0. None = no clusters.
  std::function<std::vector<std::uint16_t>(std::span<const float> values, int components)> cluster;
};

// Reads what a finished results folder holds: features/ and reduced/ with their `_run.json`, pca/pca.bin,
// evaluation.json, `_run.json` of the whole run; each may be missing. Datasets are streamed twice, memory
// does not grow with their rows (only with classes and samples). Photos are read again for the pictures;
// those that are gone get a placeholder. Throws Error{kNotFound} where there is no dataset, kFormat where a
// file is damaged, kCancelled.
ReportData collect_report(const CollectOptions& options, const Hooks& hooks = {}, std::stop_token stop = {});

}  // namespace pomona
