// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace pomona {

// True where `ip` (IPv4 or IPv6 in text) is an address of the public internet: not loopback, private,
// link-local, shared, multicast, reserved or unspecified, also when wrapped into IPv6 (mapped, NAT64).
// Text that is no address is not public.
bool is_public_address(std::string_view ip);

// True for 127.0.0.0/8 and ::1.
bool is_loopback_address(std::string_view ip);

}  // namespace pomona
