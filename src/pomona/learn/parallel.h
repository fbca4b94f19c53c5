// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

// Internal to learn/.
namespace pomona {

// Threads that stay for many short pieces of work. run() is called by one thread at a time.
class Team {
 public:
  explicit Team(int threads) {
    for (int part = 0; part + 1 < threads; ++part) {
      workers_.emplace_back([this, part] { work(part); });
    }
  }
  ~Team() {
    body_ = nullptr;
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(part) for part = 0 .. size() - 1, the last on the caller's thread. The first exception is
  // thrown again when all have ended.
  template <typename Body>
  void run(const Body& body) {
    const std::function<void(int)> call = std::cref(body);
    body_ = &call;
    failure_ = nullptr;
    pending_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    guarded(call, size() - 1);
    wait(pending_, [](int left) { return left == 0; });
    if (failure_) std::rethrow_exception(failure_);
  }

  // Cuts 0 .. count into one range per thread and calls body(begin, end) for each that is not empty.
  template <typename Body>
  void ranges(std::size_t count, const Body& body) {
    const auto parts = static_cast<std::size_t>(size());
    run([&](int part) {
      const auto p = static_cast<std::size_t>(part);
      const std::size_t begin = count * p / parts;
      const std::size_t end = count * (p + 1) / parts;
      if (begin < end) body(begin, end);
    });
  }

 private:
  // Spins for up to a tenth of a millisecond or so, which is about what lies between two pieces of work, then
  // sleeps until `ready` holds.
  template <typename T, typename Ready>
  static T wait(const std::atomic<T>& value, const Ready& ready) {
    for (int spin = 0; spin < 20'000; ++spin) {
      const T now = value.load(std::memory_order_acquire);
      if (ready(now)) return now;
      if (spin % 1024 == 1023) std::this_thread::yield();
    }
    T now = value.load(std::memory_order_acquire);
    while (!ready(now)) {
      value.wait(now, std::memory_order_acquire);
      now = value.load(std::memory_order_acquire);
    }
    return now;
  }

  void guarded(const std::function<void(int)>& body, int part) {
    try {
      body(part);
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  void work(int part) {
    for (unsigned seen = 0;;) {
      seen = wait(epoch_, [seen](unsigned now) { return now != seen; });
      if (body_ == nullptr) return;
      guarded(*body_, part);
      if (pending_.fetch_sub(1, std::memory_order_release) == 1) pending_.notify_one();
    }
  }

  const std::function<void(int)>* body_ = nullptr;
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::atomic<unsigned> epoch_ = 0;
  std::atomic<int> pending_ = 0;
  std::vector<std::jthread> workers_;  // last: joined before the rest goes
};

// Calls body(part) for part = 0 .. parts - 1, each on its own thread.
template <typename Body>
void run_parts(int parts, const Body& body) {
  if (parts <= 1) {
    body(0);
    return;
  }
  Team(parts).run(body);
}

// Cuts 0 .. count into one range per thread and calls body(begin, end) for each that is not empty.
template <typename Body>
void run_ranges(std::size_t count, int threads, const Body& body) {
  const auto parts = std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), count);
  if (parts == 0) return;
  run_parts(static_cast<int>(parts), [&](int part) {
    const auto p = static_cast<std::size_t>(part);
    body(count * p / parts, count * (p + 1) / parts);
  });
}

}  // namespace pomona
