// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "pomona/distributed/job.h"

namespace pomona::cli {

// Flags of verbs that run here or inside Apache Spark.
struct EngineFlags {
  std::string engine = "local";
  std::string master = "local[*]";
  std::optional<int> partitions;
  std::string archives;           // FILE#NAME: the executors' environment
  std::vector<std::string> conf;  // key=value

  bool spark() const { return engine == "spark"; }
};

void add_engine_flags(CLI::App& app, EngineFlags& flags);

// Runs the job inside Spark: a Python process that is its driver, with our terminal, signals and exit codes.
// Prints what came out; with photos, ends with kTooManyRejects above `max_reject_rate`. Throws Error{kUsage |
// kUnavailable}.
int run_on_spark(const EngineFlags& flags, const distributed::Job& job, double max_reject_rate,
                 const Context& context);

}  // namespace pomona::cli
