// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/listing.h"

#include <array>

#include "pomona/storage/listing_internal.h"
#include "pomona/storage/uri_internal.h"

namespace pomona {

bool has_photo_extension(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kExtensions = {"jpg",  "jpeg", "jpe",  "jfif", "png",
                                                                  "webp", "heic", "heif", "avif"};
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  const std::string_view extension = name.substr(dot + 1);
  for (const std::string_view known : kExtensions) {
    if (extension.size() != known.size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < known.size(); ++i) {
      const char c = extension[i];
      same = same && (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == known[i];
    }
    if (same) return true;
  }
  return false;
}

ListingSink::ListingSink(const ListingOptions& options, const std::function<bool(Entry&&)>& sink,
                         std::stop_token stop)
    : sink_(sink),
      stop_(std::move(stop)),
      sources_(options.sources),
      left_(options.limit.value_or(UINT64_MAX)) {
  if (options.glob) glob_.emplace(*options.glob);
  done_ = left_ == 0;
}

bool ListingSink::emit(Entry&& entry) {
  if (stopped()) return false;
  done_ = !sink_(std::move(entry)) || --left_ == 0;
  return !done_;
}

bool ListingSink::wants(std::string_view name) const {
  return glob_ ? glob_->matches(name) : has_photo_extension(name);
}

bool ListingSink::wants_listed_path(std::string_view path) const {
  if (!glob_) return true;
  const auto slash = path.rfind('/');
  return glob_->matches(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

void list_photos(const ListingOptions& options, const std::function<bool(Entry&&)>& sink,
                 std::stop_token stop) {
  ListingSink listing(options, sink, std::move(stop));
  if (options.paths_from) {
    if (!options.sources.empty()) {
      throw Error(ErrorCode::kUsage, "give either folders or a list of paths, not both");
    }
    list_paths_from(*options.paths_from, listing);
    return;
  }
  if (options.sources.empty()) throw Error(ErrorCode::kUsage, "no folder, file or URI of photos was given");
  for (const std::string& source : options.sources) {
    if (listing.stopped()) return;
    if (is_remote_uri(source)) {
      list_remote(source, "", listing);
    } else {
      list_local(local_path(source), "", listing);
    }
  }
}

}  // namespace pomona
