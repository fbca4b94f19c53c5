// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pomona/storage/store.h"

namespace pomona::distributed {

// A stretch of a listing as a Parquet file: path (raw bytes), bytes, mtime_ns, directory. Not thread-safe.
class ListingChunkWriter {
 public:
  ListingChunkWriter(const Store& store, std::string name);
  ~ListingChunkWriter();  // without close(): gives the file up

  void add(const Entry& entry);  // Throws Error{kIo}.
  // Ends the file; there is none where nothing was added.
  void close();
  std::uint64_t count() const { return count_; }

 private:
  struct Impl;
  void flush();

  Store store_;
  std::string name_;
  std::uint64_t count_ = 0;
  std::vector<Entry> pending_;
  std::unique_ptr<Impl> impl_;
};

// Calls `sink` for entries [offset, offset + count) of a chunk, in order. Throws Error{kFormat} where it
// holds fewer.
void read_listing_chunk(const Store& store, const std::string& name, std::uint64_t offset,
                        std::uint64_t count, const std::function<void(Entry&&)>& sink);

}  // namespace pomona::distributed
