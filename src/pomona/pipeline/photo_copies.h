// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pomona/base/hash.h"

namespace pomona {

// Copies of a photo, the same to the byte: a photo that was learned from says nothing about its copies, so
// splits keep them on one side.

// Of each photo: the first one with the same bytes. A photo whose hash is zero (not known) is its own.
std::vector<std::size_t> first_copies(std::span<const ContentHash> hashes);

// How many photos of a fold (0 and up; below: never judged) have a copy in another. `first`: one number per
// photo, equal for copies, as first_copies() gives.
std::size_t copies_apart(std::span<const std::size_t> first, std::span<const int> folds);

// Groups that keep copies together, and the groups there are (one number per photo, or empty).
std::vector<std::int64_t> groups_with_copies(std::span<const std::size_t> first,
                                             std::span<const std::int64_t> groups);

}  // namespace pomona
