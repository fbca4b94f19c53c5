// SPDX-License-Identifier: Apache-2.0
#include "proxies.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "pomona/base/error.h"

namespace pomona::server {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

constexpr int kMappedBits = 96;  // before an IPv4 address in IPv6

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_v4(const Bytes& address) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

// IPv4 as ::ffff:a.b.c.d, so that there is one kind of address.
std::optional<Bytes> parse_address(std::string_view text) {
  if (text.empty() || text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string whole(text);
  Bytes out{};
  if (inet_pton(AF_INET6, whole.c_str(), out.data()) == 1) return out;
  if (inet_pton(AF_INET, whole.c_str(), out.data() + 12) != 1) return std::nullopt;
  out[10] = out[11] = 0xff;
  return out;
}

// As proxies write it: some add the port, and brackets around IPv6.
std::optional<Bytes> parse_forwarded(std::string_view text) {
  text = trim(text);
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    return end == std::string_view::npos ? std::nullopt : parse_address(text.substr(1, end - 1));
  }
  if (std::ranges::count(text, ':') == 1) text = text.substr(0, text.find(':'));
  return parse_address(text);
}

std::string text_of(const Bytes& address) {
  char text[INET6_ADDRSTRLEN] = {};
  const bool v4 = is_v4(address);
  inet_ntop(v4 ? AF_INET : AF_INET6, address.data() + (v4 ? 12 : 0), text, sizeof text);
  return text;
}

bool same_bits(const Bytes& a, const Bytes& b, int bits) {
  const int whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), static_cast<std::size_t>(whole)) != 0) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const auto at = static_cast<std::size_t>(whole);
  return ((a[at] ^ b[at]) >> (8 - rest)) == 0;
}

}  // namespace

TrustedProxies TrustedProxies::parse(std::string_view text) {
  TrustedProxies out;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view one = trim(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const std::size_t slash = one.find('/');
    const auto address = parse_address(one.substr(0, slash));
    const int most = one.find(':') == std::string_view::npos ? 32 : 128;
    int bits = most;
    bool good = address.has_value();
    if (good && slash != std::string_view::npos) {
      const char* end = one.data() + one.size();
      const auto parsed = std::from_chars(one.data() + slash + 1, end, bits);
      good = parsed.ec == std::errc() && parsed.ptr == end && bits >= 0 && bits <= most;
    }
    if (!good) {
      throw Error(ErrorCode::kUsage, "\"" + std::string(one) +
                                         "\" is no range of addresses: trusted proxies are written as "
                                         "10.0.0.0/8,fd00::/8,192.0.2.1");
    }
    out.ranges_.push_back({*address, most == 32 ? kMappedBits + bits : bits});
  }
  return out;
}

bool TrustedProxies::contains(std::string_view address) const {
  const auto parsed = parse_address(address);
  return parsed && std::ranges::any_of(ranges_, [&](const Range& range) {
           // ::/0 means all of IPv6; an IPv4 address is in it only where its mapped form was meant.
           const bool mapped = range.bits >= kMappedBits && is_v4(range.address);
           return mapped == is_v4(*parsed) && same_bits(*parsed, range.address, range.bits);
         });
}

std::string TrustedProxies::client(const Request& request) const {
  std::string client = request.client;
  if (ranges_.empty()) return client;
  // Several header lines are one list.
  for (auto line = request.headers.rbegin(); line != request.headers.rend(); ++line) {
    if (line->first != "x-forwarded-for") continue;
    std::string_view list = line->second;
    while (true) {
      if (!contains(client)) return client;
      const std::size_t comma = list.rfind(',');
      const auto address = parse_forwarded(comma == std::string_view::npos ? list : list.substr(comma + 1));
      if (!address) return client;
      client = text_of(*address);
      if (comma == std::string_view::npos) break;
      list = list.substr(0, comma);
    }
  }
  return client;
}

}  // namespace pomona::server
