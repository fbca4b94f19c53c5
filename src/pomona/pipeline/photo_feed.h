// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/storage/reader.h"
#include "pomona/storage/store.h"

namespace pomona {

// A photo on its way from the listing to a worker.
struct FeedPhoto {
  std::uint64_t index = 0;  // position in the listing
  Entry entry;
  std::vector<std::byte> bytes;
  std::optional<Rejection> rejection;  // set where reading failed; bytes are empty then
};

// Threads that wait for storage and keep a bounded read-ahead of whole photos full. Where workers find
// nothing read while all threads wait for the store, more threads are started: a store 50 ms away needs one
// for every 20 photos a second. push() is for one listing thread, pop() for any number of workers.
class PhotoFeed {
 public:
  struct Options {
    int threads = 4;         // at first
    int most_threads = 256;  // to grow to where photos are remote
    std::size_t ahead_photos =
        256;  // being read or read, and not yet taken; more by one for each thread added
    std::size_t ahead_bytes = 128u << 20;  // the same, in bytes; one photo may exceed it alone
  };

  // `fail` is called with the first exception of a reading thread.
  PhotoFeed(const PhotoReader& reader, const Options& options, std::stop_token stop,
            std::function<void(std::exception_ptr)> fail);
  ~PhotoFeed();

  // Queues a photo for reading; waits while too many wait already. False once stopped.
  bool push(std::uint64_t index, Entry&& entry);
  // No more push().
  void close();

  // Takes up to `most` photos that have been read, in about the order of the listing; waits for the first one
  // (with `wait` off: only up to `patience`), then up to `patience` for more. False at the end or once
  // stopped.
  bool pop(std::size_t most, std::chrono::microseconds patience, bool wait, std::vector<FeedPhoto>& photos);

  // Gives a photo's memory back for reuse.
  void recycle(std::vector<std::byte>&& bytes);

  double read_seconds() const;  // thread time spent reading; call after the workers are done
  int threads() const;          // reading now

 private:
  void read_loop();
  bool may_read() const;
  void add_threads();

  const PhotoReader& reader_;
  Options options_;
  std::stop_token stop_;
  std::function<void(std::exception_ptr)> fail_;

  mutable std::mutex mutex_;
  std::condition_variable_any can_push_, can_read_, can_pop_;
  std::deque<FeedPhoto> waiting_;  // listed, not yet read
  std::deque<FeedPhoto> ready_;    // read, not yet taken
  std::vector<std::vector<std::byte>> spare_;
  std::size_t reading_ = 0;
  std::size_t held_bytes_ = 0;  // of what is read, and as listed of what is being read
  std::chrono::steady_clock::time_point grown_ = std::chrono::steady_clock::now();
  bool closed_ = false;
  double read_seconds_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace pomona
