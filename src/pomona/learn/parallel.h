// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace pomona {

// Calls body(part) for part = 0 .. parts - 1, each on its own thread, the last on the caller's. The first
// exception is thrown again when all have ended.
template <typename Body>
void run_parts(int parts, const Body& body) {
  std::exception_ptr failure;
  std::mutex mutex;
  const auto guarded = [&](int part) {
    try {
      body(part);
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int part = 0; part + 1 < parts; ++part) threads.emplace_back(guarded, part);
    guarded(std::max(parts, 1) - 1);
  }
  if (failure) std::rethrow_exception(failure);
}

// Cuts 0 .. count into one range per thread and calls body(begin, end) for each that is not empty.
template <typename Body>
void run_ranges(std::size_t count, int threads, const Body& body) {
  const auto parts =
      static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), count));
  if (parts == 0) return;
  run_parts(parts, [&](int part) {
    const auto p = static_cast<std::size_t>(part);
    const auto n = static_cast<std::size_t>(parts);
    body(count * p / n, count * (p + 1) / n);
  });
}

}  // namespace pomona
