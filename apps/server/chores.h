// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pomona::server {

// Threads for what is neither bytes nor photos: parsing large JSON, searching, thumbnails, the contributions'
// database. The listener's threads never wait for those. Thread-safe.
class Chores {
 public:
  // `complain` hears, on a thread of its own, what a chore let out instead of answering.
  Chores(int threads, std::size_t most, std::function<void(const std::string&)> complain = {});
  ~Chores();  // end()

  // Takes no more, does what waits and ends the threads.
  void end();

  // False where `most` chores wait already.
  bool post(std::move_only_function<void()> chore);

 private:
  void run();

  std::size_t most_;
  std::function<void(const std::string&)> complain_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::move_only_function<void()>> queue_;
  bool ending_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace pomona::server
