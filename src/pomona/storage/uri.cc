// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>

#include "pomona/base/error.h"
#include "pomona/base/escape.h"
#include "pomona/base/text.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_internal.h"
#include "pomona/storage/uri_options_internal.h"

namespace pomona {
namespace {

// Length of "scheme" in "scheme://", 0 where there is none.
std::size_t scheme_length(std::string_view uri) {
  const auto colon = uri.find("://");
  if (colon == std::string_view::npos || colon == 0) return 0;
  if (std::isalpha(static_cast<unsigned char>(uri[0])) == 0) return 0;
  const bool valid = std::all_of(uri.begin(), uri.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '-' || c == '.';
  });
  return valid ? colon : 0;
}

// name=value(&name=value)*, so that a key such as "who?.jpg" stays a key.
bool looks_like_options(std::string_view text) {
  for (;;) {
    const auto end = text.find('&');
    const std::string_view option = text.substr(0, end);
    const auto equals = option.find('=');
    if (equals == 0 || equals == std::string_view::npos) return false;
    for (const char c : option.substr(0, equals)) {
      if (std::islower(static_cast<unsigned char>(c)) == 0 && c != '_') return false;
    }
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

bool is_remote_uri(std::string_view uri) {
  const std::size_t length = scheme_length(uri);
  return length != 0 && lower_case(uri.substr(0, length)) != "file";
}

RemoteUri parse_remote(std::string_view uri, bool with_options) {
  const std::size_t length = scheme_length(uri);
  if (length == 0)
    throw Error(ErrorCode::kUsage, escape_path(uri) + " is not a URI such as s3://bucket/folder");
  RemoteUri result;
  result.scheme = lower_case(uri.substr(0, length));
  if (result.scheme == "s3a" || result.scheme == "s3n") result.scheme = "s3";
  if (result.scheme == "az" || result.scheme == "abfss") result.scheme = "abfs";
  std::string_view rest = uri.substr(length + 3);
  if (with_options) {
    for (auto mark = rest.find('?'); mark != std::string_view::npos; mark = rest.find('?', mark + 1)) {
      if (!looks_like_options(rest.substr(mark + 1))) continue;
      result.options = rest.substr(mark + 1);
      rest = rest.substr(0, mark);
      break;
    }
  }
  const auto slash = rest.find('/');
  result.authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) result.key = rest.substr(slash + 1);
  while (result.key.ends_with('/')) result.key.pop_back();
  result.key.erase(0, std::min(result.key.find_first_not_of('/'), result.key.size()));
  if (result.authority.empty() && result.scheme != "hdfs" && result.scheme != "viewfs") {
    throw Error(ErrorCode::kUsage,
                escape_path(uri) + " names no bucket: write " + result.scheme + "://bucket/folder");
  }
  return result;
}

std::string shown_authority(const RemoteUri& uri) {
  const auto at = uri.authority.rfind('@');
  if (at == std::string::npos) return uri.authority;
  // container@account and abfs://account@container are no secrets; what follows a colon might be.
  if (uri.scheme == "abfs") {
    const auto colon = uri.authority.find(':');
    return colon < at ? uri.authority.substr(0, colon) + uri.authority.substr(at) : uri.authority;
  }
  return uri.authority.substr(at + 1);
}

std::string local_path(std::string_view uri_or_path) {
  std::string raw(uri_or_path);
  if (const std::size_t length = scheme_length(raw);
      length != 0 && lower_case(raw.substr(0, length)) == "file") {
    std::string_view rest = uri_or_path.substr(length + 3);
    if (rest.starts_with("localhost/")) rest.remove_prefix(9);
    if (!rest.starts_with('/')) {
      throw Error(ErrorCode::kUsage,
                  escape_path(raw) + " names another host: write file:///folder or a plain path");
    }
    raw = percent_decode(rest);
  }
  if (raw.empty()) throw Error(ErrorCode::kUsage, "an empty path was given where a folder or file is needed");
  if (raw.find('\0') != std::string::npos) throw Error(ErrorCode::kUsage, "a path may not hold a NUL byte");
  std::string path;
  for (const char c : raw) {
    if (c != '/' || !path.ends_with('/')) path += c;
  }
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

void check_name(std::string_view name) {
  bool bad = name.starts_with('/') || name.find('\0') != std::string_view::npos;
  for (std::string_view rest = name; !bad && !rest.empty();) {
    const auto slash = rest.find('/');
    bad = rest.substr(0, slash) == ".." || rest.substr(0, slash) == ".";
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  if (bad) throw Error(ErrorCode::kUsage, "the name '" + escape_path(name) + "' leads out of its folder");
}

std::string join(std::string_view folder, std::string_view name) {
  if (folder.empty() || name.empty()) return std::string(folder) + std::string(name);
  std::string joined(folder);
  if (!joined.ends_with('/')) joined += '/';
  joined += name;
  return joined;
}

}  // namespace pomona
