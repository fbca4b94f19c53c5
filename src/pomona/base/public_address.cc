// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/public_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace pomona {
namespace {

struct Block {
  std::uint32_t address;
  int bits;
};

// IANA's registry of special-purpose IPv4 addresses, as far as they are no place to download from.
constexpr std::array kNotPublic = {
    Block{0x00000000, 8},   // this network
    Block{0x0A000000, 8},   // private
    Block{0x64400000, 10},  // shared by carriers
    Block{0x7F000000, 8},   // loopback
    Block{0xA9FE0000, 16},  // link-local, where clouds keep their metadata
    Block{0xAC100000, 12},  // private
    Block{0xC0000000, 24},  // protocol assignments
    Block{0xC0000200, 24},  // documentation
    Block{0xC0586300, 24},  // relays of 6to4, out of use
    Block{0xC0A80000, 16},  // private
    Block{0xC6120000, 15},  // benchmarks
    Block{0xC6336400, 24},  // documentation
    Block{0xCB007100, 24},  // documentation
    Block{0xE0000000, 3},   // multicast and reserved
};

bool is_public_v4(std::uint32_t address) {
  return std::ranges::none_of(kNotPublic, [&](const Block& block) {
    return (address >> (32 - block.bits)) == (block.address >> (32 - block.bits));
  });
}

std::optional<std::uint32_t> parse_v4(const std::string& text) {
  in_addr address{};
  if (inet_pton(AF_INET, text.c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

using V6 = std::array<std::uint8_t, 16>;

std::optional<V6> parse_v6(const std::string& text) {
  V6 bytes{};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return std::nullopt;
  return bytes;
}

std::uint32_t last_v4(const V6& bytes) {
  return static_cast<std::uint32_t>(bytes[12]) << 24 | static_cast<std::uint32_t>(bytes[13]) << 16 |
         static_cast<std::uint32_t>(bytes[14]) << 8 | bytes[15];
}

bool starts_with(const V6& bytes, std::initializer_list<std::uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

}  // namespace

bool is_public_address(std::string_view ip) {
  const std::string text(ip);
  if (const auto v4 = parse_v4(text)) return is_public_v4(*v4);
  const auto v6 = parse_v6(text);
  if (!v6) return false;
  if (starts_with(*v6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}) ||
      starts_with(*v6, {0x00, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return is_public_v4(last_v4(*v6));
  }
  // Global unicast is 2000::/3. Not of it: 2001::/23 (Teredo, which carries an IPv4 address, ORCHID,
  // benchmarks), 6to4, which carries one too, and both ranges of documentation.
  if ((v6->front() & 0xE0) != 0x20) return false;
  if (starts_with(*v6, {0x20, 0x01}) && (*v6)[2] < 0x02) return false;
  if (starts_with(*v6, {0x3F, 0xFF}) && (*v6)[2] < 0x10) return false;
  return !starts_with(*v6, {0x20, 0x02}) && !starts_with(*v6, {0x20, 0x01, 0x0D, 0xB8});
}

bool is_loopback_address(std::string_view ip) {
  const std::string text(ip);
  if (const auto v4 = parse_v4(text)) return *v4 >> 24 == 127;
  const auto v6 = parse_v6(text);
  return v6 && *v6 == V6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
}

}  // namespace pomona
