// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace pomona::cli {

// The price file at `file`, else the one that comes along (prices/aws-us-east-1.json). Throws Error{kFormat}
// and what read_file() throws.
nlohmann::json read_prices(const std::optional<std::string>& file = std::nullopt);

}  // namespace pomona::cli
