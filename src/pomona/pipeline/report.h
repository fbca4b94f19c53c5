// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"

namespace pomona {

struct ReportOptions {
  std::string dest;        // results folder of run()
  std::string title;       // empty: the folder's name
  std::uint64_t seed = 1;  // of the samples shown
  bool pictures = true;    // thumbnails of the photos
  nlohmann::json prices;   // see prices/; null = no bill
};

// Writes DEST/report.html from what the results folder holds, with clusters found by k-means on the
// components and, by `prices`, what the run cost and a million photos would; _report.html where DEST is a
// dataset itself. Its path. Throws Error as collect_report() does, and kIo.
std::string write_report(const ReportOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
