// SPDX-License-Identifier: Apache-2.0
#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/remote_connect_internal.h"
#include "pomona/storage/store_internal.h"

namespace pomona {
namespace {

using arrow::fs::FileType;

class RemoteStore final : public Store::Impl {
 public:
  RemoteStore(std::string shown, RemoteLocation location)
      : Impl(std::move(shown)), location_(std::move(location)) {}

  const RemoteLocation& location() const { return location_; }

  bool is_local() const override { return false; }
  bool appears_when_closed() const override {
    return location_.uri.scheme == "s3" || location_.uri.scheme == "abfs" || is_gcs(location_.uri);
  }

  std::shared_ptr<const Impl> at(const std::string& name) const override {
    RemoteLocation below = location_;
    below.root = join(below.root, name);
    below.uri.key = join(below.uri.key, name);
    return std::make_shared<RemoteStore>(join(uri, name), std::move(below));
  }

  std::shared_ptr<const Impl> parent() const override {
    RemoteLocation above = location_;
    const auto slash = above.uri.key.rfind('/');
    const std::size_t cut = slash == std::string::npos ? above.uri.key.size() : above.uri.key.size() - slash;
    above.uri.key.resize(above.uri.key.size() - cut);
    const auto shorter = [&](std::string path) {
      path.resize(path.size() - cut);
      if (path.size() > 1 && path.ends_with('/')) path.pop_back();
      return path;
    };
    std::string shown_above = shorter(uri);
    above.root = shorter(above.root);
    return std::make_shared<RemoteStore>(std::move(shown_above), std::move(above));
  }

  std::int64_t size(const std::string& name) const override {
    const auto info = got(location_.filesystem->GetFileInfo(path(name)), "cannot look at " + shown(name));
    return info.type() == FileType::File ? info.size() : -1;
  }

  std::string read(const std::string& name) const override {
    const auto file = open_file(name);
    const std::string what = "cannot read " + shown(name);
    const std::int64_t bytes = got(file->GetSize(), what);
    std::string content(static_cast<std::size_t>(bytes), '\0');
    const std::int64_t read = bytes == 0 ? 0 : got(file->ReadAt(0, bytes, content.data()), what);
    if (read != bytes) throw Error(ErrorCode::kIo, what + ": it changed while being read");
    return content;
  }

  void write(const std::string& name, std::string_view bytes) const override {
    const std::string what = "cannot write " + shown(name);
    // HDFS shows a file while it grows.
    const std::string target = appears_when_closed() ? name : name + ".tmp";
    const auto stream = create(target);
    arrow::Status status = stream->Write(bytes);
    if (status.ok()) status = stream->Close();
    if (!status.ok()) {
      static_cast<void>(stream->Abort());
      throw remote_error(location_, status, what);
    }
    if (target != name) rename(target, name);
  }

  void rename(const std::string& from, const std::string& to) const override {
    make_parents(to);
    arrow::Status status = location_.filesystem->Move(path(from), path(to));
    // Azure without its hierarchical namespace.
    if (status.IsNotImplemented()) {
      status = location_.filesystem->CopyFile(path(from), path(to));
      if (status.ok()) status = location_.filesystem->DeleteFile(path(from));
    }
    // HDFS moves onto nothing.
    if (!status.ok() && is_hdfs() && kind_of(path(from)) == FileType::File &&
        kind_of(path(to)) == FileType::File) {
      status = location_.filesystem->DeleteFile(path(to));
      if (status.ok()) status = location_.filesystem->Move(path(from), path(to));
    }
    require(status, "cannot move " + shown(from) + " to " + shown(to));
  }

  void remove(const std::string& name) const override {
    const arrow::Status status = location_.filesystem->DeleteFile(path(name));
    if (!status.ok() && error_code(status) != ErrorCode::kNotFound) {
      // HDFS calls it an I/O error that a file is not there.
      if (is_hdfs() && kind_of(path(name)) == FileType::NotFound) return;
      throw remote_error(location_, status, "cannot remove " + shown(name));
    }
  }

  void remove_folder(const std::string& name) const override {
    const std::string folder = path(name);
    // Rights on what lies below a prefix need not include a look at the prefix itself.
    const auto info = location_.filesystem->GetFileInfo(folder);
    if (!info.ok() && error_code(info.status()) != ErrorCode::kPermission) {
      require(info.status(), "cannot look at " + shown(name));
    }
    if (info.ok() && info->type() != FileType::Directory) return;
    arrow::Status status;
    // Objects and the marks of folders go in one request. Stores on disks refuse the mark of a folder whose
    // objects come behind it; they are gone the next time.
    for (int attempt = 0; attempt < 5; ++attempt) {
      status = name.empty() ? location_.filesystem->DeleteDirContents(folder, true)
                            : location_.filesystem->DeleteDir(folder);
      if (status.ok() || error_code(status) == ErrorCode::kNotFound) return;
      if (error_code(status) == ErrorCode::kPermission) break;
    }
    throw remote_error(location_, status, "cannot remove " + shown(name));
  }

  std::vector<std::string> list(const std::string& folder) const override {
    arrow::fs::FileSelector selector;
    selector.base_dir = path(folder);
    selector.allow_not_found = true;
    const auto result = location_.filesystem->GetFileInfo(selector);
    if (!result.ok()) {
      const auto info = location_.filesystem->GetFileInfo(selector.base_dir);
      if (info.ok() && info->type() == FileType::File) {
        throw Error(ErrorCode::kUsage, shown(folder) + " is a file where a folder is needed");
      }
      throw remote_error(location_, result.status(), "cannot list " + shown(folder));
    }
    std::vector<std::string> names;
    for (const auto& info : *result) {
      names.push_back(info.base_name() + (info.type() == FileType::Directory ? "/" : ""));
    }
    return names;
  }

  std::shared_ptr<arrow::io::OutputStream> create(const std::string& name) const override {
    make_parents(name);
    return got(location_.filesystem->OpenOutputStream(path(name)), "cannot write " + shown(name));
  }

  std::shared_ptr<arrow::io::RandomAccessFile> open_file(const std::string& name) const override {
    return got(location_.filesystem->OpenInputFile(path(name)), "cannot read " + shown(name));
  }

 private:
  void require(const arrow::Status& status, const std::string& what) const {
    if (!status.ok()) throw remote_error(location_, status, what);
  }

  template <typename T>
  T got(arrow::Result<T> result, const std::string& what) const {
    require(result.status(), what);
    return std::move(result).ValueUnsafe();
  }

  bool is_hdfs() const { return location_.uri.scheme == "hdfs" || location_.uri.scheme == "viewfs"; }

  // Unknown where the store does not say.
  FileType kind_of(const std::string& target) const {
    const auto info = location_.filesystem->GetFileInfo(target);
    return info.ok() ? info->type() : FileType::Unknown;
  }

  std::string path(const std::string& name) const { return join(location_.root, name); }
  std::string shown(const std::string& name) const { return escape_path(join(uri, name)); }

  // Object stores have no folders to make; HDFS and Azure's hierarchical namespace do.
  void make_parents(const std::string& name) const {
    if (appears_when_closed()) return;
    const std::string target = path(name);
    const auto slash = target.rfind('/');
    if (slash == std::string::npos || slash == 0) return;
    require(location_.filesystem->CreateDir(target.substr(0, slash), true),
            "cannot make the folder of " + shown(name));
  }

  RemoteLocation location_;
};

}  // namespace

std::shared_ptr<const Store::Impl> open_remote_store(const RemoteUri& uri) {
  RemoteLocation location = connect(uri, nullptr);
  std::string shown = join(uri.scheme + "://" + shown_authority(uri), uri.key);
  return std::make_shared<RemoteStore>(std::move(shown), std::move(location));
}

const RemoteLocation& remote_location(const Store& store) {
  const auto* remote = dynamic_cast<const RemoteStore*>(&store.impl());
  if (remote == nullptr) throw Error(ErrorCode::kInternal, store.uri() + " is not a remote store");
  return remote->location();
}

}  // namespace pomona
