// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "pomona/storage/dataset.h"

namespace pomona {

// Writes blocks, which come in order, into parts of a fixed number of blocks each, on a thread of its own.
// The queue is short: who brings blocks faster than the store takes them waits.
class PartSequence {
 public:
  // `fail` is called with the writer's exception; everything after it is dropped. `staged`: `dest` is not the
  // dataset's own folder, another process publishes what is written there; else a part that is published
  // while another run has ended at `dest` throws Error{kExists} there. `file_id`: see PartWriter.
  PartSequence(const Store& dest, const Schema& schema, std::string run_id, std::uint64_t blocks_per_part,
               std::function<void(std::exception_ptr)> fail, bool staged = false, std::string file_id = "");
  ~PartSequence();  // without finish(): the part in work is dropped, published ones stay

  // What to record with part `index` (known once its range of the listing is); before its last block.
  void describe(std::uint64_t index, nlohmann::json extra);
  // Block `number` of the dataset.
  void write(std::uint64_t number, Block&& block, std::stop_token stop);
  // A part of an earlier run that stays as it is.
  void keep(const PartRecord& record);
  // Publishes the last part and waits. The records of all parts, in order.
  std::vector<PartRecord> finish();

  double seconds() const;  // thread time spent writing; after finish()

 private:
  struct Item {
    std::uint64_t number;
    Block block;
  };
  void loop();
  void write_block(Item&& item);
  void publish();

  const Store dest_;
  const Schema schema_;
  const std::string run_id_;
  const std::uint64_t blocks_per_part_;
  const std::function<void(std::exception_ptr)> fail_;
  const bool staged_;
  const std::string file_id_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Item> queue_;
  std::map<std::uint64_t, nlohmann::json> extras_;
  std::vector<PartRecord> records_;
  bool closed_ = false;
  bool failed_ = false;

  // The writer thread's own.
  std::optional<PartWriter> part_;
  std::uint64_t part_index_ = 0;
  std::uint64_t unread_ = 0;  // photos of the part that could not be read
  std::vector<std::size_t>
      groups_;  // rows per block of the part: what a later reader needs for the same sums
  double seconds_ = 0;

  std::jthread thread_;
};

}  // namespace pomona
