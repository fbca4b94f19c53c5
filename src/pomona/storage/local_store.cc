// SPDX-License-Identifier: Apache-2.0
#include <arrow/io/file.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "pomona/base/paths.h"
#include "pomona/base/system_error.h"
#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/store_internal.h"

namespace pomona {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path, int error) {
  throw Error(system_error_code(error),
              "cannot " + what + " " + escape_path(path) + ": " + system_reason(error));
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void make_parents(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(parent_of(path), error);
  if (error) fail("make the folder", parent_of(path), error.value());
}

// A rename lasts only once both the file and its folder are on disk.
void sync(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) fail("open", path, errno);
  const int error = fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some file systems have no fsync for folders.
  if (error != 0 && !(flags == O_DIRECTORY && error == EINVAL)) fail("write", path, error);
}

class LocalStore final : public Store::Impl {
 public:
  explicit LocalStore(std::string path) : Impl(std::move(path)) {}

  bool is_local() const override { return true; }
  bool appears_when_closed() const override { return false; }

  std::shared_ptr<const Impl> at(const std::string& name) const override {
    return std::make_shared<LocalStore>(join(uri, name));
  }

  std::shared_ptr<const Impl> parent() const override { return std::make_shared<LocalStore>(parent_of(uri)); }

  std::int64_t size(const std::string& name) const override {
    const std::string path = join(uri, name);
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return -1;
      fail("look at", path, errno);
    }
    return S_ISDIR(info.st_mode) ? -1 : static_cast<std::int64_t>(info.st_size);
  }

  std::string read(const std::string& name) const override { return read_file(join(uri, name)); }

  void write(const std::string& name, std::string_view bytes) const override {
    const std::string path = join(uri, name);
    make_parents(path);
    write_file_atomically(path, bytes);
    sync(parent_of(path), O_DIRECTORY);
  }

  void rename(const std::string& from, const std::string& to) const override {
    const std::string source = join(uri, from);
    const std::string target = join(uri, to);
    sync(source, 0);
    make_parents(target);
    if (std::rename(source.c_str(), target.c_str()) != 0) fail("move to", target, errno);
    sync(parent_of(target), O_DIRECTORY);
  }

  void remove(const std::string& name) const override {
    const std::string path = join(uri, name);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) fail("remove", path, errno);
  }

  void remove_folder(const std::string& name) const override {
    std::error_code error;
    if (!name.empty()) {
      const std::string path = join(uri, name);
      std::filesystem::remove_all(path, error);
      if (error) fail("remove", path, error.value());
      return;
    }
    for (std::filesystem::directory_iterator it(uri, error), end; !error && it != end; it.increment(error)) {
      std::filesystem::remove_all(it->path(), error);
      if (error) break;
    }
    if (error && error.value() != ENOENT) fail("empty", uri, error.value());
  }

  std::vector<std::string> list(const std::string& folder) const override {
    const std::string path = join(uri, folder);
    DIR* handle = ::opendir(path.c_str());
    if (handle == nullptr) {
      if (errno == ENOENT) return {};
      if (errno == ENOTDIR)
        throw Error(ErrorCode::kUsage, escape_path(path) + " is a file where a folder is needed");
      fail("list", path, errno);
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(handle, &::closedir);
    std::vector<std::string> names;
    for (errno = 0;;) {
      const dirent* entry = ::readdir(handle);
      if (entry == nullptr) break;
      std::string name = static_cast<const char*>(entry->d_name);
      if (name == "." || name == "..") continue;
      bool is_folder = entry->d_type == DT_DIR;
      if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
        struct stat info{};
        is_folder = ::fstatat(::dirfd(handle), name.c_str(), &info, 0) == 0 && S_ISDIR(info.st_mode);
      }
      if (is_folder) name += '/';
      names.push_back(std::move(name));
      errno = 0;
    }
    if (errno != 0) fail("list", path, errno);
    return names;
  }

  std::shared_ptr<arrow::io::OutputStream> create(const std::string& name) const override {
    const std::string path = join(uri, name);
    make_parents(path);
    return take(arrow::io::FileOutputStream::Open(path), "cannot write " + escape_path(path));
  }

  std::shared_ptr<arrow::io::RandomAccessFile> open_file(const std::string& name) const override {
    const std::string path = join(uri, name);
    return take(arrow::io::ReadableFile::Open(path), "cannot read " + escape_path(path));
  }
};

}  // namespace

std::shared_ptr<const Store::Impl> open_local_store(const std::string& path) {
  return std::make_shared<LocalStore>(path);
}

}  // namespace pomona
