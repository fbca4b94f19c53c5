// SPDX-License-Identifier: Apache-2.0
#include "router.h"

#include <algorithm>
#include <optional>

namespace pomona::server {
namespace {

std::string_view next_segment(std::string_view& path) {
  const std::size_t slash = path.find('/', 1);
  const std::string_view segment = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  return segment;
}

std::optional<std::vector<std::string>> fits(std::string_view pattern, std::string_view path) {
  std::vector<std::string> arguments;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_segment(pattern);
    const std::string_view got = next_segment(path);
    if (wanted.starts_with("/{")) {
      if (got.size() < 2) return std::nullopt;
      arguments.emplace_back(got.substr(1));
    } else if (wanted != got) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return arguments;
}

}  // namespace

Match Router::find(std::string_view method, std::string_view path) const {
  Match match;
  for (const Route& route : routes_) {
    auto arguments = fits(route.pattern, path);
    if (!arguments) continue;
    if (route.method == method || (route.method == "GET" && method == "HEAD")) {
      match.route = &route;
      match.arguments = std::move(*arguments);
      return match;
    }
    match.methods.push_back(route.method);
  }
  return match;
}

}  // namespace pomona::server
