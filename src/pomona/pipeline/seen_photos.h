// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/hash.h"

namespace pomona {

// Which photos went into a model, in three bytes each: a Bloom filter over content hashes (Bloom 1970; two
// hashes for all by Kirsch and Mitzenmacher 2006). It tells of a photo at hand whether it was among them, and
// is wrong for fewer than one in ten thousand that were not; it names no photo. Value type.
class SeenPhotos {
 public:
  // Zero hashes stand for photos whose content is not known, and make the record incomplete.
  static SeenPhotos of(std::span<const ContentHash> hashes);

  // False: it was not among them, provided the record is complete.
  bool may_contain(const ContentHash& hash) const;
  // True where every photo's hash was known.
  bool complete() const { return unknown_ == 0; }

  nlohmann::json to_json() const;
  // None where there is no such record, or it is damaged.
  static std::optional<SeenPhotos> from_json(const nlohmann::json& json);

 private:
  std::vector<std::uint8_t> bits_;
  std::uint64_t photos_ = 0;
  std::uint64_t unknown_ = 0;
};

}  // namespace pomona
