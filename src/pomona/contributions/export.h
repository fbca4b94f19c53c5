// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "pomona/contributions/contributions.h"

namespace pomona {

// A folder of that name for photos of a class: characters that paths or listings take for something else
// (a slash, a leading dot or underscore, the name of a split) become %XX. A name that no file system would
// take is cut off, with a hash of the label after it.
std::string class_folder(const std::string& label);

// Lays contributions out as ContributionStore::export_to() says. `photo` gives a photo's bytes, none where it
// has gone in the meantime: it is left out. `before` is called when all is written, right before it appears.
ContributionExport export_contributions(
    const std::vector<Contribution>& contributions,
    const std::function<std::optional<std::vector<std::byte>>(std::int64_t)>& photo,
    const std::filesystem::path& folder, const std::function<void(std::span<const std::int64_t>)>& before);

}  // namespace pomona
