// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "pomona/pipeline/reduce.h"
#include "pomona/pipeline/run.h"

// Jobs spread over machines. Every function here takes and gives small values (options, names, counts), so
// that a scheduler such as Apache Spark can carry them; photos, vectors and sums go through the dataset's
// store.
namespace pomona::distributed {

// What is to be done, as the command understood it and as it travels to every machine.
struct Job {
  std::string kind;                     // run | featurize | reduce
  std::string features;                 // place of the features dataset
  std::string results;                  // run: the folder that all its results are in
  FeaturizeOptions featurize;           // of run and featurize; its dest is `features`
  std::optional<ReduceOptions> reduce;  // of run and reduce
  bool fit = false;                     // run: a PCA is fitted in the same pass as the photos
  std::optional<RunOptions> conclude;   // run: a model, an evaluation, a report are made
};

Job job_of(const FeaturizeOptions& options);
Job job_of(const RunOptions& options);
Job job_of(const ReduceOptions& options);

// Throws Error{kUsage} for a place whose name is not UTF-8.
nlohmann::json to_json(const Job& job);
Job job_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

nlohmann::json to_json(const Schema& schema);
Schema schema_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

}  // namespace pomona::distributed
