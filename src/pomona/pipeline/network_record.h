// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "pomona/model/network.h"

namespace pomona {

// How a network was asked for, as it stands in `_run.json`, so that a later job can open the same one.
// Paths are made absolute. Batch, streams and cache are not part of it.
nlohmann::json to_json(const NetworkOptions& options);
NetworkOptions network_options_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

// The network that made a dataset, by its `_run.json`, which has "network" and "fingerprint", at the
// precision it had. `asked` (fields as to_json() writes them, or null) stands in place of what the record
// says: the file may have been moved since. The caller compares fingerprints. Throws Error{kFormat}.
NetworkOptions network_of_run(const nlohmann::json& run, const nlohmann::json& asked);

}  // namespace pomona
