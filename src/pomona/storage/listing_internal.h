// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/storage/glob_internal.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/listing_split.h"

namespace pomona {

// What the parts of a listing share.
class ListingSink {
 public:
  ListingSink(const ListingOptions& options, const std::function<bool(Entry&&)>& sink, std::stop_token stop);

  // False once the listing shall end.
  bool emit(Entry&& entry);
  bool stopped() const { return done_ || stop_.stop_requested(); }

  bool wants(std::string_view name) const;              // by glob or extension
  bool wants_listed_path(std::string_view path) const;  // of a list of paths: only a glob restricts

  const std::vector<std::string>& sources() const { return sources_; }  // of the whole listing

 private:
  const std::function<bool(Entry&&)>& sink_;
  std::stop_token stop_;
  std::optional<Glob> glob_;
  const std::vector<std::string>& sources_;
  std::uint64_t left_;
  bool done_ = false;
};

// Tells of photos that a local source comes to by a link and that another source of the listing lists itself.
// Looks at the other sources when the first link is met. Not thread-safe.
class OtherSources {
 public:
  // `path`: of the source that is being listed. The sink outlives this.
  OtherSources(const ListingSink& sink, std::string path) : sink_(sink), path_(std::move(path)) {}

  bool any() const { return sink_.sources().size() > 1; }
  // Whether another source's own listing comes to the file or folder at the real path `real`.
  bool list(const std::string& real, bool is_folder);

 private:
  const ListingSink& sink_;
  std::string path_;
  std::optional<std::map<std::string, std::size_t>> known_;  // real paths, and numbers of sources
  std::optional<std::size_t> own_;
};

// The path without symbolic links; "" where it leads nowhere.
std::string real_path(const std::string& path);

// By extension: something that we can decode.
bool has_photo_extension(std::string_view name);
inline bool is_hidden(std::string_view name) {
  return name.starts_with('.') || name.starts_with('_');
}

// `below`: only what lies below that folder of it, "" = all.
void list_local(const std::string& path, const std::string& below, ListingSink& sink);
void list_remote(const std::string& uri, const std::string& below, ListingSink& sink);
// As list_level().
std::optional<std::vector<ListingItem>> list_local_level(const std::string& path, const std::string& below,
                                                         const ListingSink& filter, std::size_t most);
std::optional<std::vector<ListingItem>> list_remote_level(const std::string& uri, const std::string& below,
                                                          const ListingSink& filter, std::size_t most);
void list_paths_from(const std::string& file, ListingSink& sink);

}  // namespace pomona
