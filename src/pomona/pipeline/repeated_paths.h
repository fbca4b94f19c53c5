// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pomona {

// How many lines of a list of paths name a photo again. Keeps eight bytes of hash a line: among ten million
// paths the odds that one is taken for another are about one in 400,000. Not thread-safe.
class RepeatedPaths {
 public:
  // A path or URI, however it is written: `a.jpg` and `./a.jpg` are the same photo.
  void add(const std::string& path);
  // What there is to tell of them, "" where each photo is named once.
  std::string warning();

 private:
  std::vector<std::uint64_t> hashes_;
};

}  // namespace pomona
