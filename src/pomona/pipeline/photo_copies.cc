// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_copies.h"

#include <numeric>
#include <set>
#include <unordered_map>

namespace pomona {

std::vector<std::size_t> first_copies(std::span<const ContentHash> hashes) {
  std::vector<std::size_t> first;
  std::unordered_map<ContentHash, std::size_t, ContentHashHasher> known;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const bool named = hashes[i] != ContentHash{};
    first.push_back(named ? known.try_emplace(hashes[i], i).first->second : i);
  }
  return first;
}

std::size_t copies_apart(std::span<const std::size_t> first, std::span<const int> folds) {
  std::unordered_map<std::size_t, std::set<int>> sides;
  for (std::size_t i = 0; i < first.size(); ++i) sides[first[i]].insert(folds[i]);
  std::size_t count = 0;
  for (std::size_t i = 0; i < first.size(); ++i) count += folds[i] >= 0 && sides[first[i]].size() > 1;
  return count;
}

std::vector<std::int64_t> groups_with_copies(std::span<const std::size_t> first,
                                             std::span<const std::int64_t> groups) {
  std::vector<std::size_t> parent(first.size());
  std::iota(parent.begin(), parent.end(), std::size_t{0});
  const auto root = [&](std::size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  std::unordered_map<std::size_t, std::size_t> by_photo;
  std::unordered_map<std::int64_t, std::size_t> by_group;
  const auto join = [&](auto& known, const auto& key, std::size_t i) {
    const auto [at, fresh] = known.try_emplace(key, i);
    if (!fresh) parent[root(i)] = root(at->second);
  };
  for (std::size_t i = 0; i < first.size(); ++i) {
    join(by_photo, first[i], i);
    if (!groups.empty()) join(by_group, groups[i], i);
  }
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 0; i < first.size(); ++i) numbers.push_back(static_cast<std::int64_t>(root(i)));
  return numbers;
}

}  // namespace pomona
