// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pomona::server {

// One part of a form. `data` points into the body.
struct Part {
  std::string name;
  std::optional<std::string> filename;  // as sent: for people only, never a path to open
  std::string content_type;             // in lower case, without parameters; empty where none was given
  std::string_view data;
};

struct MultipartLimits {
  std::size_t parts = 64;
  std::size_t header = 4096;  // bytes of one part's header
};

// True for multipart/form-data.
bool is_multipart(std::string_view content_type);

// Takes a whole multipart/form-data body apart (RFC 7578, RFC 2046). What is malformed, has too many parts or
// is cut off is refused with a sentence that says what is wrong.
std::expected<std::vector<Part>, std::string> parse_multipart(std::string_view content_type,
                                                              std::string_view body,
                                                              const MultipartLimits& limits = {});

}  // namespace pomona::server
