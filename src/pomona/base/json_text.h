// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace pomona {

// Levels of arrays and objects that JSON from outside may have: no record of ours has ten. Values are copied,
// written and taken apart by functions that call themselves once a level, so the stack sets a bound anyway.
inline constexpr std::size_t kDeepestJson = 100;

// Parses JSON that comes from outside; the discarded value where it is none or nests deeper than
// kDeepestJson.
nlohmann::json parse_json(std::string_view text);

}  // namespace pomona
