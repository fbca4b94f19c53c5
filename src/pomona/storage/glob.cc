// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/glob_internal.h"

#include <utility>

#include "pomona/base/error.h"
#include "pomona/storage/listing.h"

namespace pomona {
namespace {

constexpr std::size_t kMostAlternatives = 1000;

// Position of the closing bracket of a class that opens at `open`, or npos where it is no class.
std::size_t class_end(std::string_view pattern, std::size_t open) {
  std::size_t at = open + 1;
  if (at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^')) ++at;
  if (at < pattern.size() && pattern[at] == ']') ++at;
  return pattern.find(']', at);
}

// "x{a,b}y" -> "xay", "xby"; nested braces too. A brace without its partner or comma is an ordinary
// character.
void expand(const std::string& pattern, std::size_t from, std::vector<std::string>& into) {
  for (std::size_t open = from; open < pattern.size(); ++open) {
    if (pattern[open] == '\\') {
      ++open;
      continue;
    }
    if (pattern[open] == '[') {
      if (const auto end = class_end(pattern, open); end != std::string::npos) open = end;
      continue;
    }
    if (pattern[open] != '{') continue;
    int depth = 0;
    std::vector<std::size_t> cuts = {open};
    std::size_t close = open;
    for (; close < pattern.size(); ++close) {
      if (pattern[close] == '\\') {
        ++close;
      } else if (pattern[close] == '{') {
        ++depth;
      } else if (pattern[close] == ',' && depth == 1) {
        cuts.push_back(close);
      } else if (pattern[close] == '}' && --depth == 0) {
        break;
      }
    }
    if (close >= pattern.size() || cuts.size() == 1) continue;
    cuts.push_back(close);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const std::string choice = pattern.substr(cuts[i] + 1, cuts[i + 1] - cuts[i] - 1);
      expand(pattern.substr(0, open) + choice + pattern.substr(close + 1), open, into);
    }
    return;
  }
  if (into.size() >= kMostAlternatives) {
    throw Error(ErrorCode::kUsage, "the pattern has more than 1,000 alternatives in braces");
  }
  into.push_back(pattern);
}

// Matches one character at pattern[at]; moves `at` behind what matched it.
bool match_one(std::string_view pattern, std::size_t& at, char c) {
  const char p = pattern[at];
  if (p == '?') return ++at, true;
  if (p == '[') {
    const auto end = class_end(pattern, at);
    if (end != std::string_view::npos) {
      std::string_view set = pattern.substr(at + 1, end - at - 1);
      const bool negated = set.starts_with('!') || set.starts_with('^');
      if (negated) set.remove_prefix(1);
      bool found = false;
      for (std::size_t i = 0; i < set.size(); ++i) {
        const auto low = static_cast<unsigned char>(set[i]);
        auto high = low;
        if (i + 2 < set.size() && set[i + 1] == '-') {
          high = static_cast<unsigned char>(set[i + 2]);
          i += 2;
        }
        const auto byte = static_cast<unsigned char>(c);
        found = found || (low <= byte && byte <= high);
      }
      if (found == negated) return false;
      at = end + 1;
      return true;
    }
  }
  if (p == '\\' && at + 1 < pattern.size()) {
    if (pattern[at + 1] != c) return false;
    at += 2;
    return true;
  }
  if (p != c) return false;
  return ++at, true;
}

bool matches_flat(std::string_view pattern, std::string_view name) {
  std::size_t at = 0;
  std::size_t i = 0;
  // Where to go on when a mismatch follows the last star: enough, as an earlier star gains nothing.
  std::size_t after_star = std::string_view::npos;
  std::size_t star_name = 0;
  while (i < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      after_star = ++at;
      star_name = i;
    } else if (at < pattern.size() && match_one(pattern, at, name[i])) {
      ++i;
    } else if (after_star != std::string_view::npos) {
      at = after_star;
      i = ++star_name;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace

Glob::Glob(std::string_view pattern) {
  expand(std::string(pattern), 0, alternatives_);
}

bool Glob::matches(std::string_view name) const {
  for (const std::string& alternative : alternatives_) {
    if (matches_flat(alternative, name)) return true;
  }
  return false;
}

bool glob_match(std::string_view pattern, std::string_view name) {
  return Glob(pattern).matches(name);
}

}  // namespace pomona
