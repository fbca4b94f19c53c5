// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/uri_paths.h"

#include <algorithm>
#include <string_view>

#include "pomona/storage/store.h"
#include "pomona/storage/uri_internal.h"

namespace pomona {
namespace {

// Where a URI's options begin; its length where it has none.
std::size_t options_at(const std::string& uri) {
  return is_remote_uri(uri) ? std::min(uri.find('?'), uri.size()) : uri.size();
}

}  // namespace

std::string uri_below(const std::string& folder, std::string_view name) {
  const std::size_t options = options_at(folder);
  std::string uri = folder.substr(0, options);
  while (uri.size() > 1 && uri.ends_with('/')) uri.pop_back();
  if (uri != "/") uri += '/';
  uri += name;
  return uri + folder.substr(options);
}

std::string photo_root(const std::string& source) {
  if (!is_remote_uri(source)) return source;
  const RemoteUri uri = parse_remote(source, true);
  return join(uri.scheme + "://" + shown_authority(uri), uri.key);
}

std::string without_credentials(std::string text) {
  const auto mask = [&](std::size_t from, std::size_t to) { text.replace(from, to - from, "***"); };
  for (std::size_t host = text.find("://"); host != std::string::npos; host = text.find("://", host)) {
    host += 3;
    const std::size_t end = std::min(text.find_first_of("/? ", host), text.size());
    const std::size_t sign = std::string_view(text).substr(0, end).rfind('@');
    if (sign != std::string::npos && sign > host) mask(host, sign);
  }
  if (!text.contains("://")) return text;
  for (const std::string_view key :
       {"access_key=", "secret_key=", "session_token=", "account_key=", "sas_token=", "sig=", "token="}) {
    for (std::size_t found = text.find(key); found != std::string::npos; found = text.find(key, found)) {
      found += key.size();
      mask(found, std::min(text.find_first_of("& ", found), text.size()));
    }
  }
  return text;
}

FilePlace file_place(const std::string& file) {
  const std::size_t options = options_at(file);
  const std::string path = file.substr(0, options);
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, std::max<std::size_t>(slash, 1)) + file.substr(options), path.substr(slash + 1)};
}

}  // namespace pomona
