// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pomona {

// Compression of files that a web server hands out. All are thread-safe.
std::string gzip_packed(std::string_view bytes);    // RFC 1952, level 9, no name, no time
std::string brotli_packed(std::string_view bytes);  // RFC 7932, quality 9
// `size` is that of the result. Throws Error{kFormat} where `bytes` is not brotli of that many bytes.
std::string brotli_unpacked(std::string_view bytes, std::size_t size);

}  // namespace pomona
