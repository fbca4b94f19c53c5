// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace pomona {

// How far a job is. Counts are photos (or rows, or bytes: `unit` says which).
struct Progress {
  std::string unit = "photos";
  std::uint64_t done = 0;
  std::uint64_t rejected = 0;
  std::optional<std::uint64_t> total;  // none while the listing still runs
  double seconds = 0;                  // since the job began
  double rate = 0;                     // per second, over the last few seconds
};

// Where a job speaks to its caller; the library itself never prints. Both may be empty.
// Called from any thread of the job, one call at a time.
struct Hooks {
  std::function<void(const Progress&)> progress;
  std::function<void(const std::string&)> note;     // something worth a line
  std::function<void(const std::string&)> warning;  // something the user should look into
};

}  // namespace pomona
