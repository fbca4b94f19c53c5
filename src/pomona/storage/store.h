// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pomona/base/error.h"

namespace arrow::fs {
class FileSystem;
}
namespace arrow::io {
class OutputStream;
class RandomAccessFile;
}  // namespace arrow::io

namespace pomona {

// One object of a listing.
struct Entry {
  std::string path;            // full: a local path as given, or scheme://bucket/key; raw bytes, maybe not UTF-8
  std::int64_t bytes = -1;     // size; -1 where the store does not say
  std::int64_t mtime_ns = 0;   // last change, ns since 1970
  bool directory = false;      // true only for a folder whose name looks like a photo ("x.jpg")
};

// A folder or prefix somewhere: local disk, s3:// (s3a://, s3n:// are the same), gs://, abfs://, hdfs://.
// All names below are relative to it. Copies share the connection. Thread-safe.
class Store {
 public:
  // Opens the store a URI or local path points into. Nothing is created or read yet, but credentials are
  // resolved. Throws Error{kUsage | kUnavailable}.
  static Store open(const std::string& uri);

  const std::string& uri() const;  // as given, normalized, without a trailing slash
  bool is_local() const;

  bool exists(std::string_view name) const;
  std::string read(std::string_view name) const;  // whole object. Throws Error{kNotFound | kPermission | kIo}.
  // Whole or not at all: local files by temporary name, fsync and rename; objects by the store's own atomic put.
  void write(std::string_view name, std::string_view bytes) const;
  // Moves within the store; replaces the target. On an object store a copy and a delete.
  void rename(std::string_view from, std::string_view to) const;
  void remove(std::string_view name) const;         // no error where it is not there
  void remove_folder(std::string_view name) const;  // with all below; "" removes the root's contents too
  // Names of the objects right below `folder` ("" = the root), sorted; hidden ones included.
  std::vector<std::string> list(std::string_view folder) const;

  // Streams for large files. A stream that is not closed leaves nothing under `name` on an object store and
  // a file under `name` on disk: write to a temporary name and rename().
  std::shared_ptr<arrow::io::OutputStream> create(std::string_view name) const;
  std::shared_ptr<arrow::io::RandomAccessFile> open_file(std::string_view name) const;

 private:
  struct Impl;
  explicit Store(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

// True for "scheme://..." other than file://.
bool is_remote_uri(std::string_view uri);

}  // namespace pomona
