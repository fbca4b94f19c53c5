// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace pomona {

// Of the oneDAL that runs here, for example "2026.2.0". Thread-safe.
std::string onedal_version();

}  // namespace pomona
