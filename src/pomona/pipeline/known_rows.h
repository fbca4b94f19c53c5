// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <vector>

#include "pomona/base/hash.h"
#include "pomona/storage/dataset.h"

namespace pomona {

// The vectors that earlier runs left in a dataset's parts, found by the photo's content. Holds 32 bytes a
// row; vectors are read when asked for, through a small cache of row groups. Thread-safe.
class KnownRows {
 public:
  struct Row {
    std::int32_t width = 0;
    std::int32_t height = 0;
    std::vector<float> vector;
  };

  // Reads the hashes of all rows of `parts`. Throws Error{kIo | kFormat}.
  KnownRows(const Store& dest, const Schema& schema, const std::vector<PartRecord>& parts);

  std::optional<Row> find(const ContentHash& hash) const;
  std::size_t size() const { return places_.size(); }

 private:
  struct Place {
    ContentHash hash;
    std::uint32_t part;
    std::uint32_t group;
    std::uint32_t row;
  };

  DatasetReader reader_;
  int d_;
  std::vector<Place> places_;  // sorted by hash

  struct Cached {
    std::uint32_t part;
    std::uint32_t group;
    Block block;
  };
  mutable std::mutex mutex_;
  mutable std::list<Cached> cache_;  // most recently used first
};

}  // namespace pomona
