// SPDX-License-Identifier: Apache-2.0
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/util/future.h>

#include <algorithm>

#include "pomona/storage/pull_executor_internal.h"
#include "pomona/storage/remote_connect_internal.h"

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/listing_internal.h"
#include "pomona/storage/store_internal.h"

namespace pomona {
namespace {

bool has_hidden_part(std::string_view relative) {
  while (!relative.empty()) {
    if (is_hidden(relative)) return true;
    const auto slash = relative.find('/');
    if (slash == std::string_view::npos) return false;
    relative.remove_prefix(slash + 1);
  }
  return false;
}

Entry entry_of(const arrow::fs::FileInfo& info, std::string path, const std::shared_ptr<const Store>& store) {
  Entry entry;
  entry.path = std::move(path);
  entry.bytes = info.size();
  if (info.mtime() != arrow::fs::kNoTime) entry.mtime_ns = info.mtime().time_since_epoch().count();
  entry.store = store;
  return entry;
}

// What the source is. Rights on what lies below a prefix need not include the key that is named as the prefix, so
// a refusal counts as a folder: listing it will tell.
arrow::fs::FileInfo look_at(const RemoteLocation& location, const std::string& what) {
  auto asked = location.filesystem->GetFileInfo(location.root);
  if (asked.ok()) return *asked;
  if (error_code(asked.status()) != ErrorCode::kPermission) {
    throw remote_error(location, asked.status(), what);
  }
  return arrow::fs::FileInfo(location.root, arrow::fs::FileType::Directory);
}

// Of a source that HEAD does not find: some stores answer so to an unknown key or user too, and only a listing's
// answer says why.
[[noreturn]] void throw_not_found(const RemoteLocation& location, const std::string& what) {
  arrow::fs::FileSelector selector;
  selector.base_dir = location.root;
  const auto listed = location.filesystem->GetFileInfo(selector);
  if (!listed.ok() && error_code(listed.status()) != ErrorCode::kNotFound) {
    throw remote_error(location, listed.status(), what);
  }
  const bool bucket = !listed.ok() && listed.status().message().find("BUCKET") != std::string::npos;
  throw Error(ErrorCode::kNotFound, what + (bucket ? ": there is no such bucket"
                                                   : ": there is no such bucket or folder, or nothing in it"));
}

// Calls `each` for what lies below the store's folder, page by page as long as it returns true.
template <typename Each>
void walk_pages(const RemoteLocation& location, const std::string& what, bool recursive, Each each) {
  arrow::fs::FileSelector selector;
  selector.base_dir = location.root;
  selector.recursive = recursive;
  selector.allow_not_found = true;  // our caller saw it
  // The lister asks for page after page as fast as its executor lets it. On one that runs a task only when we
  // wait, it asks when a page is wanted: memory stays flat however long the listing.
  PullExecutor executor;
  const arrow::io::IOContext context(&executor);
  const RemoteLocation pulled = location.uri.scheme == "s3" ? connect(location.uri, &context) : location;
  auto pages = pulled.filesystem->GetFileInfoGenerator(selector);
  for (;;) {
    auto next = pages();
    executor.run_until([&] { return next.is_finished(); });
    if (!next.result().ok()) throw remote_error(location, next.status(), what);
    const auto page = *next.result();
    if (page.empty()) return;
    for (const auto& info : page) {
      if (!each(info)) return;
    }
  }
}

// Stores whose listings come in the order of their keys.
bool lists_by_key(const RemoteUri& uri) {
  return uri.scheme == "s3" || is_gcs(uri) || uri.scheme.starts_with("abfs");
}

}  // namespace

void list_remote(const std::string& uri, const std::string& below, ListingSink& sink) {
  const auto source_store = std::make_shared<const Store>(Store::open(uri));
  const auto store = below.empty() ? source_store : std::make_shared<const Store>(source_store->at(below));
  const RemoteLocation& location = remote_location(*store);
  const std::string what = "cannot list " + escape_path(store->uri());

  const arrow::fs::FileInfo source = look_at(location, what);
  if (source.type() == arrow::fs::FileType::NotFound) {
    if (!below.empty()) return;
    throw_not_found(location, what);
  }
  if (source.type() == arrow::fs::FileType::File) {
    sink.emit(entry_of(source, store->uri(), store));
    return;
  }
  if (sink.stopped()) return;
  walk_pages(location, what, true, [&](const arrow::fs::FileInfo& info) {
    if (sink.stopped()) return false;
    if (info.type() != arrow::fs::FileType::File) return true;
    const std::string_view relative = std::string_view(info.path()).substr(location.root.size() + 1);
    if (has_hidden_part(relative) || !sink.wants(info.base_name())) return true;
    sink.emit(entry_of(info, join(store->uri(), relative), store));
    return !sink.stopped();
  });
}

std::optional<std::vector<ListingItem>> list_remote_level(const std::string& uri, const std::string& below,
                                                          const ListingSink& filter, std::size_t most) {
  const auto root = std::make_shared<const Store>(Store::open(uri));
  const auto store = below.empty() ? root : std::make_shared<const Store>(root->at(below));
  const RemoteLocation& location = remote_location(*store);
  if (!lists_by_key(location.uri)) return std::nullopt;
  const std::string what = "cannot list " + escape_path(store->uri());
  const arrow::fs::FileInfo source = look_at(location, what);
  if (source.type() == arrow::fs::FileType::NotFound && below.empty()) {
    throw_not_found(location, what);
  }
  if (source.type() != arrow::fs::FileType::Directory) return std::nullopt;
  std::vector<std::pair<std::string, ListingItem>> items;  // by key
  bool whole = true;
  walk_pages(location, what, false, [&](const arrow::fs::FileInfo& info) {
    const std::string name = info.base_name();
    if (is_hidden(name)) return true;
    if (info.type() == arrow::fs::FileType::Directory) {
      items.push_back({name + "/", {join(below, name), std::nullopt}});
    } else if (info.type() == arrow::fs::FileType::File && filter.wants(name)) {
      items.push_back({name, {"", entry_of(info, join(store->uri(), name), root)}});
    }
    whole = items.size() <= most;
    return whole;
  });
  if (!whole) return std::nullopt;
  std::ranges::sort(items, {}, &std::pair<std::string, ListingItem>::first);
  std::vector<ListingItem> level;
  for (auto& [key, item] : items) level.push_back(std::move(item));
  return level;
}

}  // namespace pomona
