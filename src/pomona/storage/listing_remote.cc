// SPDX-License-Identifier: Apache-2.0
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/util/future.h>

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

}  // namespace

void list_remote(const std::string& uri, ListingSink& sink) {
  const auto store = std::make_shared<const Store>(Store::open(uri));
  const RemoteLocation& location = remote_location(*store);
  const std::string what = "cannot list " + escape_path(store->uri());

  const auto source = take(location.filesystem->GetFileInfo(location.root), what);
  if (source.type() == arrow::fs::FileType::NotFound) {
    throw Error(ErrorCode::kNotFound, what + ": there is no such bucket or folder, or nothing in it");
  }
  if (source.type() == arrow::fs::FileType::File) {
    sink.emit(entry_of(source, store->uri(), store));
    return;
  }
  arrow::fs::FileSelector selector;
  selector.base_dir = location.root;
  selector.recursive = true;
  // The lister asks for page after page as fast as its executor lets it. On one that runs a task only when we
  // wait, it asks when a page is wanted: memory stays flat however long the listing.
  PullExecutor executor;
  const arrow::io::IOContext context(&executor);
  const RemoteLocation pulled = location.uri.scheme == "s3" ? connect(location.uri, &context) : location;
  auto pages = pulled.filesystem->GetFileInfoGenerator(selector);
  while (!sink.stopped()) {
    auto next = pages();
    executor.run_until([&] { return next.is_finished(); });
    const auto page = take(next.result(), what);
    if (page.empty()) return;
    for (const auto& info : page) {
      if (sink.stopped()) return;
      if (info.type() != arrow::fs::FileType::File) continue;
      const std::string_view relative = std::string_view(info.path()).substr(location.root.size() + 1);
      if (has_hidden_part(relative) || !sink.wants(info.base_name())) continue;
      sink.emit(entry_of(info, join(store->uri(), relative), store));
    }
  }
}

}  // namespace pomona
