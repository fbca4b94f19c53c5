// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pomona {

// A shell glob, its braces expanded once.
class Glob {
 public:
  explicit Glob(std::string_view pattern);  // Throws Error{kUsage}: more than 1,000 alternatives.
  bool matches(std::string_view name) const;

 private:
  std::vector<std::string> alternatives_;
};

}  // namespace pomona
