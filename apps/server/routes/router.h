// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../auth.h"
#include "../message.h"

namespace pomona::server {

// A request that found its route.
struct Call {
  std::shared_ptr<Request> request;
  std::vector<std::string> arguments;  // what stood for the {...} of the pattern, in order
};

using Handler = std::function<void(Call call, Reply reply)>;

// Where a handler runs: on the listener's thread (short ones only) or on a thread for chores.
enum class RunOn : std::uint8_t { kListener, kChores };

// What a route may be sent.
enum class Body : std::uint8_t { kNone, kSmall, kPhotos };

struct Route {
  std::string method;
  std::string
      pattern;  // "/v1/similar/thumbnail/{row}"; a segment in braces takes one segment that is not empty
  Scopes scope = kNobody;  // that a token must have; kNobody = open to all
  Body body = Body::kNone;
  RunOn run_on = RunOn::kListener;
  Handler handler;
};

struct Match {
  const Route* route = nullptr;  // null: no route of this path and method
  std::vector<std::string> arguments;
  std::vector<std::string> methods;  // that the path has, where `route` is null; empty = unknown path
};

// The table of routes. Thread-safe once filled.
class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  // HEAD finds GET.
  Match find(std::string_view method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace pomona::server
