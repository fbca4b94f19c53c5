// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/store.h"

#include <algorithm>

#include "pomona/storage/store_internal.h"

namespace pomona {
namespace {

std::string checked(std::string_view name) {
  check_name(name);
  while (name.ends_with('/')) name.remove_suffix(1);
  return std::string(name);
}

// A file needs a name of its own.
std::string checked_file(std::string_view name) {
  std::string result = checked(name);
  if (result.empty()) throw Error(ErrorCode::kUsage, "a file name is needed, not ''");
  return result;
}

}  // namespace

Store::Store(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Store Store::open(const std::string& uri) {
  if (is_remote_uri(uri)) return Store(open_remote_store(parse_remote(uri, true)));
  return Store(open_local_store(local_path(uri)));
}

Store Store::at(std::string_view name) const {
  const std::string folder = checked(name);
  return folder.empty() ? *this : Store(impl_->at(folder));
}

Store Store::parent() const {
  return Store(impl_->parent());
}

const std::string& Store::uri() const {
  return impl_->uri;
}
bool Store::is_local() const {
  return impl_->is_local();
}
bool Store::appears_when_closed() const {
  return impl_->appears_when_closed();
}
bool Store::exists(std::string_view name) const {
  return impl_->size(checked_file(name)) >= 0;
}
std::int64_t Store::size(std::string_view name) const {
  return impl_->size(checked_file(name));
}
std::string Store::read(std::string_view name) const {
  return impl_->read(checked_file(name));
}

void Store::write(std::string_view name, std::string_view bytes) const {
  impl_->write(checked_file(name), bytes);
}

void Store::rename(std::string_view from, std::string_view to) const {
  impl_->rename(checked_file(from), checked_file(to));
}

void Store::remove(std::string_view name) const {
  impl_->remove(checked_file(name));
}
void Store::remove_folder(std::string_view name) const {
  impl_->remove_folder(checked(name));
}

std::vector<std::string> Store::list(std::string_view folder) const {
  std::vector<std::string> names = impl_->list(checked(folder));
  std::sort(names.begin(), names.end());
  return names;
}

std::shared_ptr<arrow::io::OutputStream> Store::create(std::string_view name) const {
  return impl_->create(checked_file(name));
}

std::shared_ptr<arrow::io::RandomAccessFile> Store::open_file(std::string_view name) const {
  return impl_->open_file(checked_file(name));
}

}  // namespace pomona
