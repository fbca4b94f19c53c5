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

namespace arrow::io {
class OutputStream;
class RandomAccessFile;
}  // namespace arrow::io

namespace pomona {

class Store;

// One object of a listing.
struct Entry {
  std::string path;         // full: a local path as given, or scheme://bucket/key; raw bytes, maybe not UTF-8
  std::int64_t bytes = -1;  // size; -1 where the store does not say
  std::int64_t mtime_ns = 0;  // last change, ns since 1970
  bool directory = false;     // a folder that cannot be a photo: named "x.jpg" with none below, or unreadable
  // The connection it was listed with (credentials and options of the source's URI); none for local paths and
  // for lists of paths, whose bucket is opened with what the environment says.
  std::shared_ptr<const Store> store;
};

// A folder or prefix somewhere: local disk, s3:// (s3a://, s3n:// are the same), gs://, abfs://, hdfs://.
// All names below are relative to it; a name that leads out of it is refused. Copies share the connection.
// Thread-safe. Keys in URIs are taken as they are, not percent-decoded (file:// excepted); options follow as
// Arrow takes them: s3://bucket/key?region=eu-west-1&endpoint_override=http://host:port. Credentials, region,
// endpoint and number of attempts also come from the environment (AWS_PROFILE, AWS_ENDPOINT_URL, ...).
class Store {
 public:
  // Opens the store a URI or local path points into. Nothing is created or read yet, but credentials and
  // region are resolved. Throws Error{kUsage | kUnavailable | kNotFound | kPermission | kIo}.
  static Store open(const std::string& uri);

  // The folder `name` below this one, over the same connection.
  Store at(std::string_view name) const;

  // The folder this one lies in; its own where it is a bucket or "/".
  Store parent() const;

  const std::string& uri() const;  // normalized: no trailing slash, options or credentials
  bool is_local() const;
  // True where a stream of create() shows nothing under its name until it is closed (object stores).
  bool appears_when_closed() const;

  bool exists(std::string_view name) const;        // an object of that name, not a folder
  std::int64_t size(std::string_view name) const;  // in bytes; -1 where there is no such object
  std::string read(std::string_view name) const;   // all of it; Error{kNotFound | kPermission | kIo}
  // Whole or not at all: local files by temporary name, fsync and rename; objects by the store's own atomic
  // put.
  void write(std::string_view name, std::string_view bytes) const;
  // Moves within the store; replaces the target, on disk with fsync. On an object store a copy and a delete.
  void rename(std::string_view from, std::string_view to) const;
  void remove(std::string_view name) const;         // no error where it is not there
  void remove_folder(std::string_view name) const;  // with all below; "" removes the root's contents too
  // Names right below `folder` ("" = the root), sorted; hidden ones included; folders end in '/'. Empty where
  // the folder is not there. Throws Error{kUsage} where it is a file.
  std::vector<std::string> list(std::string_view folder) const;

  // Streams for large files. A stream given up with Abort() leaves nothing under `name` on an object store
  // and a file under `name` on disk: write to a temporary name and rename().
  std::shared_ptr<arrow::io::OutputStream> create(std::string_view name) const;
  std::shared_ptr<arrow::io::RandomAccessFile> open_file(std::string_view name) const;

  struct Impl;
  const Impl& impl() const { return *impl_; }  // for this folder's own sources

 private:
  explicit Store(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

// True for "scheme://..." other than file://.
bool is_remote_uri(std::string_view uri);

}  // namespace pomona
