// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/repeated_paths.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <span>

#include "pomona/base/hash.h"
#include "pomona/storage/store.h"

namespace pomona {

void RepeatedPaths::add(const std::string& path) {
  const std::string plain =
      is_remote_uri(path) ? path : std::filesystem::absolute(path).lexically_normal().string();
  const ContentHash hash = content_hash(std::as_bytes(std::span(plain)));
  std::array<std::uint8_t, 8> first{};
  std::copy_n(hash.begin(), first.size(), first.begin());
  hashes_.push_back(std::bit_cast<std::uint64_t>(first));
}

std::string RepeatedPaths::warning() {
  std::ranges::sort(hashes_);
  const auto again = std::ranges::unique(hashes_);
  if (again.empty()) return "";
  const std::string lines = std::to_string(hashes_.size());
  return std::to_string(again.size()) + " of " + lines +
         " paths of the list name a photo that an earlier one named: a photo counts as often as it is named";
}

}  // namespace pomona
