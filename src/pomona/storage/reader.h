// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/storage/store.h"

namespace pomona {

struct ReadOptions {
  std::uint64_t max_bytes = 512ull << 20;  // a larger file is rejected: no photo is that large
};

// Reads whole photos, local or remote, whatever store each path points into. Keeps one connection per bucket.
// Thread-safe.
class PhotoReader {
 public:
  explicit PhotoReader(ReadOptions options = {});
  ~PhotoReader();

  // Reads `entry` into `bytes`, reusing its memory. Rejects (stage read): gone, no permission, a folder,
  // empty, too large, changed after it was listed or while being read. Throws Error{kIo} only where the store
  // as a whole is dead (after retries), so that a lost network is not taken for a million bad photos.
  Outcome<void> read(const Entry& entry, std::vector<std::byte>& bytes) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pomona
