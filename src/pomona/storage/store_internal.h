// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pomona/storage/store.h"
#include "pomona/storage/uri_internal.h"

namespace arrow::fs {
class FileSystem;
}

namespace pomona {

// What a kind of store does. Names have been checked by check_name(). Thread-safe.
struct Store::Impl {
  explicit Impl(std::string shown) : uri(std::move(shown)) {}
  virtual ~Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::string uri;

  virtual bool is_local() const = 0;
  virtual bool appears_when_closed() const = 0;
  virtual std::shared_ptr<const Impl> at(const std::string& name) const = 0;
  virtual std::shared_ptr<const Impl> parent() const = 0;
  virtual std::int64_t size(const std::string& name) const = 0;
  virtual std::string read(const std::string& name) const = 0;
  virtual void write(const std::string& name, std::string_view bytes) const = 0;
  virtual void rename(const std::string& from, const std::string& to) const = 0;
  virtual void remove(const std::string& name) const = 0;
  virtual void remove_folder(const std::string& name) const = 0;
  virtual std::vector<std::string> list(const std::string& folder) const = 0;
  virtual std::shared_ptr<arrow::io::OutputStream> create(const std::string& name) const = 0;
  virtual std::shared_ptr<arrow::io::RandomAccessFile> open_file(const std::string& name) const = 0;
};

// A folder reached through Arrow.
struct RemoteLocation {
  std::shared_ptr<arrow::fs::FileSystem> filesystem;
  std::string root;               // path of the folder inside the filesystem
  RemoteUri uri;                  // how to connect again (see connect_for_listing)
  std::shared_ptr<void> library;  // keeps the store's client library alive
};

std::shared_ptr<const Store::Impl> open_local_store(const std::string& path);
std::shared_ptr<const Store::Impl> open_remote_store(const RemoteUri& uri);

// Where a remote store points. `store` must not be local.
const RemoteLocation& remote_location(const Store& store);

}  // namespace pomona
