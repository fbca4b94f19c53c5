// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "message.h"

namespace pomona::server {

// The proxies whose X-Forwarded-For is believed: ranges of addresses. Immutable, thread-safe.
class TrustedProxies {
 public:
  TrustedProxies() = default;
  // "10.0.0.0/8,fd00::/8,192.0.2.1"; empty = none. Throws Error{kUsage}.
  static TrustedProxies parse(std::string_view text);

  bool empty() const { return ranges_.empty(); }
  // Whether an IP address is in one of the ranges; false for what is no address.
  bool contains(std::string_view address) const;

  // Who asked: the connection's own address where that is no trusted proxy; else the last address of
  // X-Forwarded-For that is none, since each proxy writes behind what it was sent and only what trusted ones
  // wrote can be believed. Where the header is missing or broken, the address of whoever passed that on.
  std::string client(const Request& request) const;

 private:
  struct Range {
    std::array<std::uint8_t, 16> address;
    int bits;
  };
  std::vector<Range> ranges_;
};

}  // namespace pomona::server
