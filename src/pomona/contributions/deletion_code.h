// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pomona {

// A new deletion code: 160 random bits in Crockford's base 32, "7Q2M-X0AB-..." in eight groups of four.
std::string new_deletion_code();

// SHA-256 (64 hex digits) of a code as people type it: case, dashes and spaces do not count, O is 0, I and L
// are 1. None where it cannot be a code. The code is random and long, so a plain hash is as good as a slow
// one.
std::optional<std::string> hash_of_code(std::string_view code);

// Whether two hashes are equal, in a time that does not depend on where they differ.
bool same_hash(std::string_view a, std::string_view b);

}  // namespace pomona
