// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "pomona/distributed/job.h"

namespace pomona::distributed {

// The driver's side of a dataset of components.

// Begins it. {"run_id", "schema" (of the features), "parts": records of the features, "rows", "d", "record"
// (for the PCA), "moments": false where the vectors are too wide for them}.
nlohmann::json begin_reduced(const Job& job);

// Puts the PCA where tasks look for it: the saved one the job names, checked, or the one at `fitted`. {"k",
// "d", "explained", "warnings"}.
nlohmann::json place_pca(const Job& job, const std::string& run_id, const std::string& fitted);

// Ends it as reduce() does. `what`: {"run_id", "results" (of Worker::reduce, published), "seconds", "more"}.
// {"rows", "d", "k", "explained", "pca_file"}.
nlohmann::json finish_reduced_dataset(const Job& job, const nlohmann::json& what);

}  // namespace pomona::distributed
