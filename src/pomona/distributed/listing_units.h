// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

#include "pomona/distributed/job.h"

namespace pomona::distributed {

// The listing of a job, cut so that many machines can list: units in the order of list_photos(). A unit is a
// folder for a worker to list, {"source", "below" (hex)}, or a stretch that is listed already,
// {"source", "chunk", "count"}. Looks at folders from the top until there are about `wanted` units, at 64 of
// them at the most; a list of paths is read here, as it streams. Chunks go below `_temporary/<run id>/` of
// the features. A list of paths is one unit: its `source` is -1, its "warning" what there is to tell, or "".
nlohmann::json plan_listing(const Job& job, const std::string& run_id, std::size_t wanted);

// Lists a unit's folder: {"source", "chunk", "count"}. Each attempt writes a file of its own.
nlohmann::json list_unit(const Job& job, const std::string& run_id, const nlohmann::json& unit);

// The photos of all chunks, one after the other, in parts: [{"index", "first", "count", "whole",
// "segments": [{"source", "chunk", "offset", "count"}]}]. Throws Error{kNotFound} where there is no photo.
nlohmann::json cut_parts(const Job& job, const nlohmann::json& chunks, std::uint64_t photos_per_part);

}  // namespace pomona::distributed
