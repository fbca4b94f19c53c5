// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/uri_paths.h"

#include <algorithm>

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

FilePlace file_place(const std::string& file) {
  const std::size_t options = options_at(file);
  const std::string path = file.substr(0, options);
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, std::max<std::size_t>(slash, 1)) + file.substr(options), path.substr(slash + 1)};
}

}  // namespace pomona
