// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace pomona {

// Which fold each photo belongs to: 0 .. folds - 1. Stratified: every class is spread over the folds as
// evenly as its count allows. Where `groups` is not empty (one number per photo), photos of one group are in
// one fold, and classes are as even as that allows (groups are dealt greedily, largest first, to the fold
// that then departs least from even classes). The same on every platform for the same seed. Throws
// Error{kUsage} where folds < 2, sizes differ, or there are fewer photos (or groups) than folds.
std::vector<int> assign_folds(std::span<const int> classes, std::span<const std::int64_t> groups, int folds,
                              std::uint64_t seed);

// True for the photos that are held back for validation: about `share` of every class (at least one of a
// class that has two or more), whole groups where there are groups. 0 < share < 1.
std::vector<bool> hold_out(std::span<const int> classes, std::span<const std::int64_t> groups, double share,
                           std::uint64_t seed);

}  // namespace pomona
