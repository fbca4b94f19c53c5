// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <utility>

#include "pomona/base/progress.h"

namespace pomona {

// Passes a job's progress on, ten times a second at most, with the seconds since it was made and the mean
// rate filled in. Not thread-safe: callers hold their lock.
class ProgressMeter {
 public:
  // `hooks` must outlive it.
  explicit ProgressMeter(const Hooks& hooks) : hooks_(hooks) {}

  // `fill(Progress&)` sets the counts; it is called only where somebody is told. `always` = also when the
  // last report was just now, as at the end.
  template <typename Fill>
  void report(bool always, Fill&& fill) {
    if (!hooks_.progress) return;
    const auto now = Clock::now();
    if (!always && now - last_ < kInterval) return;
    last_ = now;
    Progress progress;
    std::forward<Fill>(fill)(progress);
    progress.seconds = std::chrono::duration<double>(now - start_).count();
    if (progress.seconds > 0) progress.rate = static_cast<double>(progress.done) / progress.seconds;
    hooks_.progress(progress);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kInterval = std::chrono::milliseconds(100);

  const Hooks& hooks_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_{};
};

}  // namespace pomona
