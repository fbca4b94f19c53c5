// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "pomona/model/registry.h"

namespace pomona {

// The networks Pomona knows by itself, as they would lie under `home`.
std::vector<ModelCard> built_in_cards(const std::filesystem::path& home);

}  // namespace pomona
