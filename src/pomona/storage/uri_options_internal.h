// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pomona {

// "name=value&name=value" of a store's URI. Values are percent-decoded.
class UriOptions {
 public:
  explicit UriOptions(std::string_view text);

  // The value of `name`, which is then no longer among the rest. Of a name given twice the last counts.
  std::optional<std::string> take(std::string_view name);
  // The same as a number >= 1. Throws Error{kUsage}.
  std::optional<int> take_number(std::string_view name);
  // The same as true | false | 1 | 0. Throws Error{kUsage}.
  bool take_flag(std::string_view name);

  bool has(std::string_view name) const;
  void set(std::string name, std::string value);
  // What was not taken, as a query ("?a=b&c=d") with values percent-encoded; "" where nothing is left.
  std::string query() const;

 private:
  std::vector<std::pair<std::string, std::string>> options_;
};

}  // namespace pomona
