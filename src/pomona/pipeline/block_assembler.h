// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "pomona/storage/dataset.h"

namespace pomona {

// Puts what workers finish in any order back into the order of the listing. Block b holds what became of the
// photos b x block_rows ... ; a block that is complete is passed on when all before it were. Thread-safe.
class BlockAssembler {
 public:
  // Called in order of blocks, by one thread at a time, outside of any lock. A kept block is one whose photos
  // an earlier run has dealt with: `block` is empty then.
  using Sink = std::function<void(std::uint64_t number, Block&& block, bool kept)>;

  // At most `window` photos beyond the first unfinished block are open at any time.
  BlockAssembler(std::size_t block_rows, int d, std::uint64_t window, Sink sink);

  // Waits until photo `index` may be worked on. False once stopped.
  bool admit(std::uint64_t index, std::stop_token stop);
  void put(std::uint64_t index, RowInfo&& info, std::span<const float> vector);
  void reject(std::uint64_t index, RejectRow&& row);
  // Marks `count` whole blocks from `first` on as kept.
  void keep(std::uint64_t first, std::uint64_t count);
  // The listing ended after `total` photos. The last block may now be complete.
  void end(std::uint64_t total);

  // Waits until all blocks were passed on, or stop.
  void wait(std::stop_token stop);

 private:
  struct Open {
    std::vector<std::optional<RowInfo>> rows;  // by position in the block
    std::vector<float> vectors;                // block_rows x d
    std::vector<std::pair<std::size_t, RejectRow>> rejects;
    std::size_t resolved = 0;
    bool kept = false;
  };

  Open& open_block(std::uint64_t number);  // with mutex_ held
  bool complete(std::uint64_t number, const Open& block) const;
  void drain(std::unique_lock<std::mutex>& lock);
  Block pack(Open&& block) const;

  const std::size_t block_rows_;
  const std::size_t d_;
  const std::uint64_t window_;
  const Sink sink_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::uint64_t, Open> open_;
  std::uint64_t next_ = 0;  // first block not yet passed on
  std::optional<std::uint64_t> total_;
  bool draining_ = false;
};

}  // namespace pomona
