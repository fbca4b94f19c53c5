// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "pomona/base/escape.h"

namespace pomona {

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    int more = 0;
    std::uint32_t code = 0;
    std::uint32_t least = 0;
    if ((lead & 0xE0) == 0xC0) {
      more = 1, code = lead & 0x1F, least = 0x80;
    } else if ((lead & 0xF0) == 0xE0) {
      more = 2, code = lead & 0x0F, least = 0x800;
    } else if ((lead & 0xF8) == 0xF0) {
      more = 3, code = lead & 0x07, least = 0x10000;
    } else {
      return false;
    }
    for (int k = 0; k < more; ++k) {
      if (++i >= text.size()) return false;
      const auto next = static_cast<unsigned char>(text[i]);
      if ((next & 0xC0) != 0x80) return false;
      code = (code << 6) | (next & 0x3FU);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    ++i;
  }
  return true;
}

std::string escape_path(std::string_view path) {
  if (is_utf8(path)) return std::string(path);
  std::string escaped;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && c != '%') {
      escaped += c;
    } else {
      append_escaped(escaped, c);
    }
  }
  return escaped;
}

namespace {

template <typename... Args>
std::string print(const char* format, Args... args) {
  std::array<char, 64> buffer;
  const int size = std::snprintf(buffer.data(), buffer.size(), format, args...);
  return {buffer.data(), static_cast<std::size_t>(size)};
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return print("%d B", static_cast<int>(bytes));
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  return print("%.1f %s", value, kUnits.at(unit));
}

std::string human_seconds(double seconds) {
  if (seconds < 60) return print("%.1f s", seconds);
  const auto whole = std::lround(seconds);
  if (whole < 3600) return print("%ld min %02ld s", whole / 60, whole % 60);
  if (whole < 48L * 3600) return print("%ld h %02ld min", whole / 3600, whole / 60 % 60);
  return print("%.1f days", seconds / 86400);
}

std::string human_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string counted(std::uint64_t count, std::string_view thing) {
  return human_count(count) + " " + std::string(thing) + (count == 1 ? "" : "s");
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string name_some(const std::vector<std::string>& words) {
  constexpr std::size_t kNamed = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), kNamed); ++i)
    text += (text.empty() ? "'" : ", '") + words[i] + "'";
  if (words.size() > kNamed) text += " and " + human_count(words.size() - kNamed) + " more";
  return text;
}

}  // namespace pomona
