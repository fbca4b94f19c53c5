// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/uri_options_internal.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "pomona/base/error.h"

namespace pomona {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      decoded += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 &&
        (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos)) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

UriOptions::UriOptions(std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const std::string_view option = text.substr(0, end);
    const auto equals = std::min(option.find('='), option.size());
    if (equals > 0) {
      set(std::string(option.substr(0, equals)),
          percent_decode(option.substr(std::min(equals + 1, option.size()))));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool UriOptions::has(std::string_view name) const {
  return std::ranges::any_of(options_, [&](const auto& option) { return option.first == name; });
}

void UriOptions::set(std::string name, std::string value) {
  static_cast<void>(take(name));
  options_.emplace_back(std::move(name), std::move(value));
}

std::optional<std::string> UriOptions::take(std::string_view name) {
  const auto found = std::ranges::find_if(options_, [&](const auto& option) { return option.first == name; });
  if (found == options_.end()) return std::nullopt;
  std::string value = std::move(found->second);
  options_.erase(found);
  return value;
}

std::optional<int> UriOptions::take_number(std::string_view name) {
  const auto text = take(name);
  if (!text) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 1) {
    throw Error(ErrorCode::kUsage, "the URI's option " + std::string(name) + "=" + *text +
                                       " is not a whole number of 1 or more");
  }
  return number;
}

bool UriOptions::take_flag(std::string_view name) {
  const auto text = take(name);
  if (!text || *text == "false" || *text == "0") return false;
  if (*text == "true" || *text == "1") return true;
  throw Error(ErrorCode::kUsage,
              "the URI's option " + std::string(name) + "=" + *text + " must be true or false");
}

std::string UriOptions::query() const {
  std::string query;
  for (const auto& [name, value] : options_) {
    query += (query.empty() ? "?" : "&") + name + "=" + percent_encode(value);
  }
  return query;
}

}  // namespace pomona
