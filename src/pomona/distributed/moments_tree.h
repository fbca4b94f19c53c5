// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/distributed/job.h"

namespace pomona::distributed {

// Moments of parts are summed by a tree whose shape depends on the number of parts alone: groups of kFanIn
// neighbours, level by level. So the last bits do not depend on how many machines there were.
inline constexpr std::size_t kFanIn = 8;

// Sums moments files of `place`, in order, into a new one below `_temporary/<run id>/`; its name.
std::string merge_moments(const std::string& place, const std::string& run_id,
                          const std::vector<std::string>& files);

// The PCA that a job's ReduceOptions ask for, of the moments of all rows (at most kFanIn files of `place`),
// or, without files, of vectors too wide for moments (one machine reads the finished features). Writes it to
// the file `output`; {"k", "d", "n", "explained"}. `record` is kept in the PCA. Throws as Pca::fit() does.
nlohmann::json fit_pca(const Job& job, const std::string& place, const std::vector<std::string>& files,
                       const nlohmann::json& record, const std::string& output, int threads);

}  // namespace pomona::distributed
