// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/uri_options_internal.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "pomona/base/error.h"
#include "pomona/base/escape.h"

namespace pomona {
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
