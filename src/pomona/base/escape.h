// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pomona {

// The value of a hexadecimal digit of either case; -1 for any other character.
int hex_digit(char c);

// The byte that the two digits at text[at + 1] and text[at + 2] spell behind a '%' at text[at]; nothing where
// there are no such two.
std::optional<char> escaped_byte(std::string_view text, std::size_t at);

// Appends %XX, with digits in upper case.
void append_escaped(std::string& text, char byte);

// Every %XX as the byte it stands for; what is no escape stays as it is.
std::string percent_decode(std::string_view text);

// Everything but letters, digits and "-._~" as %XX (RFC 3986, unreserved).
std::string percent_encode(std::string_view text);

// Bytes as lower-case hexadecimal, and back: nothing where `hex` is none.
std::string hex_text(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);

}  // namespace pomona
