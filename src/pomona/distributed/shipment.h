// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "pomona/distributed/job.h"

namespace pomona::distributed {

// What other machines need of this one's files to do a job: the network, a table of labels, a preprocessing
// file. {"job": the job with those names replaced by "@/name", "files": [{"path", "name"}], "texts":
// [{"name", "text"}], "record": {"model", "network", "labels"}}: whoever carries them puts files and texts
// below one folder, and localized() turns "@/" into that folder. Throws Error{kNotFound | kUsage} as opening
// them would.
nlohmann::json plan_shipment(const Job& job);

// A job whose shipped names stand below `folder`.
Job localized(nlohmann::json job, const std::string& folder);

}  // namespace pomona::distributed
