// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "pomona/distributed/job.h"

namespace pomona::distributed {

// The driver's side of a features dataset. All it holds are names and counts, one record a part.

// Begins or goes on with the dataset, as plan_resume() decides on Worker::prepare()'s `facts`. Parts that
// tasks of a dead driver finished are published first. {"place" without credentials, "run_id",
// "file_id", "header", "schema", "known": parts there are, "adopted"}.
nlohmann::json begin_features(const Job& job, const nlohmann::json& facts);

// Puts a finished part of an attempt into its place.
void publish(const std::string& place, const std::string& run_id, const nlohmann::json& staged);

// Ends the dataset as featurize() does. `what`: {"facts", "run_id", "schema", "record" (of the shipment),
// "results" (of Worker::featurize, all published), "seconds", "timeline", "rate", "more" (for `_run.json`)}.
// {"listed", "written", "rejected", "computed", "identical", "reused", "seconds", "d", "reject_reasons",
// "warnings"}.
nlohmann::json finish_features(const Job& job, const nlohmann::json& what);

}  // namespace pomona::distributed
