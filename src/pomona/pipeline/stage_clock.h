// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace pomona {

// Adds the time between its laps to whatever each lap names. Not thread-safe: one per thread.
class StageClock {
 public:
  void start() { last_ = std::chrono::steady_clock::now(); }
  void lap(double& seconds) {
    const auto now = std::chrono::steady_clock::now();
    seconds += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace pomona
