// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace pomona {

// The page made from web/report at build time, in pieces to be joined; holds the places {{title}},
// {{sections}}, {{summary}} and {{data}}.
std::span<const std::string_view> report_template();

}  // namespace pomona
