// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/learn/random.h"

namespace pomona {
namespace {

struct Group {
  std::vector<std::size_t> photos;
  std::map<int, std::size_t> classes;  // count of each
};

// Photos that must stay together; without groups every photo is alone. In order of first appearance.
std::vector<Group> gather(std::span<const int> classes, std::span<const std::int64_t> groups) {
  std::vector<Group> gathered;
  std::map<std::int64_t, std::size_t> known;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    std::size_t at = gathered.size();
    if (!groups.empty()) at = known.try_emplace(groups[i], gathered.size()).first->second;
    if (at == gathered.size()) gathered.emplace_back();
    gathered[at].photos.push_back(i);
    ++gathered[at].classes[classes[i]];
  }
  return gathered;
}

// Deals groups to bins whose shares of every class are given, so that each class departs least from its
// share.
std::vector<int> deal(std::span<const int> classes, std::span<const std::int64_t> groups,
                      const std::vector<double>& shares, std::uint64_t seed) {
  std::vector<Group> gathered = gather(classes, groups);
  Random random(seed);
  random.shuffle(std::span(gathered));
  std::vector<std::size_t> order(gathered.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Largest first; equal ones as shuffled.
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return std::pair(gathered[b].photos.size(), a) < std::pair(gathered[a].photos.size(), b);
  });

  std::map<int, std::size_t> totals;
  for (const int c : classes) ++totals[c];
  std::vector<std::map<int, double>> filled(shares.size());
  std::vector<double> sizes(shares.size());
  std::vector<int> bins(classes.size());
  for (const std::size_t at : order) {
    const Group& group = gathered[at];
    // The bin that lacks most of these classes, in photos, relative to its share; ties by the emptiest bin.
    std::size_t best = 0;
    double best_need = -1e300;
    for (std::size_t bin = 0; bin < shares.size(); ++bin) {
      double need = 0;
      for (const auto& [c, count] : group.classes) {
        const double wanted = shares[bin] * static_cast<double>(totals[c]);
        need += static_cast<double>(count) * (wanted - filled[bin][c]) / std::max(wanted, 1e-9);
      }
      need -= 1e-6 * sizes[bin] / (shares[bin] * static_cast<double>(classes.size()));
      if (need > best_need) best_need = need, best = bin;
    }
    for (const auto& [c, count] : group.classes) filled[best][c] += static_cast<double>(count);
    sizes[best] += static_cast<double>(group.photos.size());
    for (const std::size_t photo : group.photos) bins[photo] = static_cast<int>(best);
  }
  return bins;
}

std::size_t units(std::span<const int> classes, std::span<const std::int64_t> groups) {
  if (groups.empty()) return classes.size();
  std::vector<std::int64_t> distinct(groups.begin(), groups.end());
  std::ranges::sort(distinct);
  return static_cast<std::size_t>(std::ranges::unique(distinct).begin() - distinct.begin());
}

void check(std::span<const int> classes, std::span<const std::int64_t> groups, std::size_t least) {
  if (!groups.empty() && groups.size() != classes.size()) {
    throw Error(ErrorCode::kUsage, "one group per photo is needed: " + std::to_string(groups.size()) +
                                       " groups for " + std::to_string(classes.size()) + " photos");
  }
  if (const std::size_t there = units(classes, groups); there < least) {
    throw Error(ErrorCode::kUsage, "a split needs at least " + std::to_string(least) +
                                       (groups.empty() ? " photos" : " groups of photos") + ", there are " +
                                       std::to_string(there));
  }
}

}  // namespace

std::vector<int> assign_folds(std::span<const int> classes, std::span<const std::int64_t> groups, int folds,
                              std::uint64_t seed) {
  if (folds < 2) throw Error(ErrorCode::kUsage, "at least 2 folds are needed, not " + std::to_string(folds));
  check(classes, groups, static_cast<std::size_t>(folds));
  return deal(classes, groups, std::vector<double>(static_cast<std::size_t>(folds), 1.0 / folds), seed);
}

std::vector<bool> hold_out(std::span<const int> classes, std::span<const std::int64_t> groups, double share,
                           std::uint64_t seed) {
  if (!(share > 0 && share < 1)) {
    throw Error(ErrorCode::kUsage,
                "the share held back must be between 0 and 1, not " + std::to_string(share));
  }
  check(classes, groups, 2);
  std::vector<int> bins = deal(classes, groups, {1 - share, share}, seed);
  std::vector<bool> held(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) held[i] = bins[i] == 1;
  if (!groups.empty()) return held;
  // A class with two photos or more has one on either side.
  std::map<int, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < classes.size(); ++i) members[classes[i]].push_back(i);
  for (const auto& [c, photos] : members) {
    const auto count = std::ranges::count_if(photos, [&](std::size_t i) { return held[i]; });
    if (photos.size() >= 2 && count == 0) held[photos.back()] = true;
    if (count == static_cast<std::ptrdiff_t>(photos.size())) held[photos.front()] = false;
  }
  return held;
}

}  // namespace pomona
