// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pomona {

// True where `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

// `path` itself where it is UTF-8; else every byte that is not ASCII, and '%', as %XX.
std::string escape_path(std::string_view path);

// 1536 -> "1.5 KiB".
std::string human_bytes(std::uint64_t bytes);

// 3725 s -> "1 h 02 min"; 75.2 s -> "1 min 15 s"; 0.42 s -> "0.4 s".
std::string human_seconds(double seconds);

// 7478 -> "7,478".
std::string human_count(std::uint64_t count);
// 1, "photo" -> "1 photo"; 7478, "photo" -> "7,478 photos".
std::string counted(std::uint64_t count, std::string_view thing);

// ASCII letters small, all else as it is, whatever the locale.
std::string lower_case(std::string_view text);

// "'a', 'b', 'c', 'd', 'e' and 2 more": the first five of `words`, for messages.
std::string name_some(const std::vector<std::string>& words);

}  // namespace pomona
