// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "pomona/model/network.h"
#include "pomona/pipeline/block_assembler.h"
#include "pomona/pipeline/known_rows.h"
#include "pomona/pipeline/photo_feed.h"
#include "pomona/pipeline/photo_twins.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/reader.h"

namespace pomona {

// What photos became so far. Read at any time.
struct PhotoCounts {
  std::atomic<std::uint64_t> done = 0;  // rows and rejects
  std::atomic<std::uint64_t> rejected = 0;
  std::atomic<std::uint64_t> computed = 0;   // vectors made
  std::atomic<std::uint64_t> reused = 0;     // vectors taken from what was there
  std::atomic<std::uint64_t> identical = 0;  // vectors taken from a photo of this run with the same bytes
  std::atomic<double> first_vector = -1;     // seconds since the workers began; -1 = none yet
};

// Photos, numbered in the order of a listing, in; blocks of rows, in that order, out. Readers wait for
// storage; each worker runs a small batch to completion: hash, decode, resize, infer. Of photos with the same
// bytes one is computed (PhotoTwins). One thread pushes; blocks come out on whichever worker completed them,
// one at a time.
class PhotoWorkers {
 public:
  struct Options {
    int workers = 1;
    int io_threads = 4;
    std::size_t block_rows = 0;
  };
  using Describe = std::function<RowInfo(const Entry&)>;  // thread-safe

  // `fail` is called with a thread's exception; it must request a stop.
  PhotoWorkers(const Network& network, const PhotoReader& reader, const Options& options, Describe describe,
               BlockAssembler::Sink sink, std::function<void(std::exception_ptr)> fail, std::stop_token stop);
  ~PhotoWorkers();

  // Queues photo `index`; waits while too many are open. False once stopped.
  bool push(std::uint64_t index, Entry&& entry);
  // The `count` photos from `first`, which begins a block, are dealt with: their blocks come out empty and
  // marked as kept. False once stopped.
  bool keep(std::uint64_t first, std::uint64_t count);
  // From now on, photos whose content is among these take their vectors from there.
  void know(std::shared_ptr<const KnownRows> rows);
  // The listing ended after `total` photos: waits until all blocks came out, or stop.
  void end(std::uint64_t total);
  // Ends the threads; without end() and a stop, photos that were queued are worked on first.
  void join();

  PhotoCounts& counts() { return counts_; }
  // Adds to the reasons; also called for rejects of earlier runs.
  void count_reject(const std::string& stage, const std::string& reason);

  // After join().
  std::map<std::string, std::uint64_t> reasons() const;
  std::map<std::string, double> stages() const;  // seconds of thread time

 private:
  void work();
  void reject_photo(PhotoTwins::Twin&& photo, std::int64_t bytes, const Rejection& rejection);

  const Network network_;
  const Options options_;
  const Describe describe_;
  const std::function<void(std::exception_ptr)> fail_;
  const std::stop_token stop_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  PhotoCounts counts_;
  PhotoTwins twins_;

  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const KnownRows> known_;
  std::map<std::string, std::uint64_t> reasons_;
  std::map<std::string, double> stages_;

  std::unique_ptr<BlockAssembler> assembler_;
  std::unique_ptr<PhotoFeed> feed_;
  std::vector<std::jthread> threads_;
};

}  // namespace pomona
