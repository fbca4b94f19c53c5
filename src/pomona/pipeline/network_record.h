// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "pomona/model/network.h"

namespace pomona {

// How a network was asked for, as it stands in `_run.json`, so that a later job can open the same one.
// Paths are made absolute. Batch, streams and cache are not part of it.
nlohmann::json to_json(const NetworkOptions& options);
NetworkOptions network_options_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

}  // namespace pomona
