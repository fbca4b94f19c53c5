// SPDX-License-Identifier: Apache-2.0
#include "multipart.h"

#include <cctype>

#include "pomona/base/text.h"

namespace pomona::server {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "form-data; name=\"a\"; filename=b" -> the value of one parameter. Inside quotes, \" and \\ are escapes.
std::optional<std::string> parameter(std::string_view field, std::string_view wanted) {
  std::size_t at = field.find(';');
  while (at != std::string_view::npos && at < field.size()) {
    ++at;
    const std::size_t equals = field.find('=', at);
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string name = lower_case(trimmed(field.substr(at, equals - at)));
    std::string value;
    at = equals + 1;
    while (at < field.size() && (field[at] == ' ' || field[at] == '\t')) ++at;
    if (at < field.size() && field[at] == '"') {
      for (++at;; ++at) {
        if (at >= field.size()) return std::nullopt;
        if (field[at] == '"') break;
        if (field[at] == '\\' && at + 1 < field.size() && (field[at + 1] == '"' || field[at + 1] == '\\'))
          ++at;
        value += field[at];
      }
      at = field.find(';', at);
    } else {
      const std::size_t end = field.find(';', at);
      value = std::string(trimmed(field.substr(at, end == std::string_view::npos ? end : end - at)));
      at = end;
    }
    if (name == wanted) return value;
  }
  return std::nullopt;
}

}  // namespace

bool is_multipart(std::string_view content_type) {
  return lower_case(trimmed(content_type.substr(0, content_type.find(';')))) == "multipart/form-data";
}

std::expected<std::vector<Part>, std::string> parse_multipart(std::string_view content_type,
                                                              std::string_view body,
                                                              const MultipartLimits& limits) {
  const auto bad = [](const std::string& text) {
    return std::unexpected("malformed multipart form: " + text);
  };
  const auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty()) return bad("its Content-Type names no boundary");
  if (boundary->size() > 70) return bad("its boundary is longer than 70 characters");
  const std::string line = "--" + *boundary;
  const std::string delimiter = "\r\n" + line;

  std::size_t at = 0;
  if (!body.starts_with(line)) {
    // A preamble may stand before the first boundary.
    at = body.find(delimiter);
    if (at == std::string_view::npos) return bad("its boundary does not occur");
    at += 2;
  }
  at += line.size();
  std::vector<Part> parts;
  for (;;) {
    if (body.substr(at).starts_with("--")) return parts;
    while (at < body.size() && (body[at] == ' ' || body[at] == '\t')) ++at;
    if (!body.substr(at).starts_with("\r\n")) return bad("a boundary is not at the end of its line");
    at += 2;
    if (parts.size() == limits.parts) return bad("more than " + std::to_string(limits.parts) + " parts");

    Part part;
    bool disposed = false;
    for (const std::size_t begin = at;;) {
      const std::size_t end = body.substr(at, limits.header).find("\r\n");
      if (end == std::string_view::npos || at + end - begin > limits.header) {
        return bad("a part's header does not end");
      }
      const std::string_view field = body.substr(at, end);
      at += end + 2;
      if (field.empty()) break;
      const std::size_t colon = field.find(':');
      if (colon == std::string_view::npos) return bad("a line of a part's header has no colon");
      const std::string name = lower_case(trimmed(field.substr(0, colon)));
      const std::string_view value = trimmed(field.substr(colon + 1));
      if (name == "content-disposition") {
        const auto own = parameter(value, "name");
        if (lower_case(trimmed(value.substr(0, value.find(';')))) != "form-data" || !own) {
          return bad("a part has no name");
        }
        disposed = true;
        part.name = *own;
        part.filename = parameter(value, "filename");
      } else if (name == "content-type") {
        part.content_type = lower_case(trimmed(value.substr(0, value.find(';'))));
      } else if (name == "content-transfer-encoding" && lower_case(value) != "binary" &&
                 lower_case(value) != "8bit" && lower_case(value) != "7bit") {
        return bad("a part is encoded: send its bytes as they are");
      }
    }
    if (!disposed) return bad("a part has no name");
    const std::size_t end = body.find(delimiter, at >= 2 ? at - 2 : at);
    if (end == std::string_view::npos) return bad("it is cut off: the last boundary is missing");
    // An empty part's boundary begins with the line end of its header.
    part.data = end < at ? std::string_view() : body.substr(at, end - at);
    at = end + delimiter.size();
    parts.push_back(std::move(part));
  }
}

}  // namespace pomona::server
