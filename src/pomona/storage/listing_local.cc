// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pomona/base/system_error.h"
#include "pomona/base/text.h"
#include "pomona/storage/descriptor_internal.h"
#include "pomona/storage/listing_internal.h"
#include "pomona/storage/uri_internal.h"

namespace pomona {
namespace {

// Below this many levels a tree is taken for damaged; each level keeps one descriptor open.
constexpr std::size_t kDeepest = 200;

// The names of one folder that matter, in the order of their keys ("name/" for a folder). All in one string:
// a folder may hold millions.
class Folder {
 public:
  struct Item {
    std::size_t offset;
    std::uint32_t size;  // with the '/' of a folder
    bool is_link;
  };

  // False where the folder cannot be read (errno says why).
  bool read(int fd, const ListingSink& sink) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR* handle = copy < 0 ? nullptr : ::fdopendir(copy);
    if (handle == nullptr) {
      if (copy >= 0) ::close(copy);
      return false;
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(handle, &::closedir);
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(handle);
      if (entry == nullptr) break;
      const std::string_view name = static_cast<const char*>(entry->d_name);
      if (is_hidden(name)) continue;
      bool is_folder = entry->d_type == DT_DIR;
      bool is_link = entry->d_type == DT_LNK;
      if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
        struct stat info{};
        is_folder = ::fstatat(fd, entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
        if (entry->d_type == DT_UNKNOWN)
          is_link = ::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
      }
      if (is_folder || sink.wants(name)) add(name, is_folder, is_link);
    }
    const int error = errno;
    std::sort(items_.begin(), items_.end(),
              [this](const Item& a, const Item& b) { return name(a) < name(b); });
    errno = error;
    return error == 0;
  }

  const std::vector<Item>& items() const { return items_; }
  std::string_view name(const Item& item) const {
    return std::string_view(names_).substr(item.offset, item.size);
  }

 private:
  void add(std::string_view name, bool is_folder, bool is_link) {
    items_.push_back({names_.size(), static_cast<std::uint32_t>(name.size() + (is_folder ? 1 : 0)), is_link});
    names_ += name;
    if (is_folder) names_ += '/';
  }

  std::string names_;
  std::vector<Item> items_;
};

// The file `name` of the folder open at `fd`.
Entry file_entry(int fd, const std::string& name, std::string&& path) {
  Entry entry;
  entry.path = std::move(path);
  struct stat info{};
  if (::fstatat(fd, name.c_str(), &info, 0) == 0 && S_ISREG(info.st_mode)) {
    entry.bytes = info.st_size;
    entry.mtime_ns = mtime_ns(info);
  }
  return entry;
}

Descriptor open_folder(int parent, const std::string& name) {
  return Descriptor(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
}

// Real paths are kept only where another source may list what a link leads to: "" elsewhere, and where no
// link was followed.

// Of the folder `below` of the source `path`.
std::string real_folder(const OtherSources& others, const std::string& path, const std::string& below) {
  if (!others.any() || below.empty()) return "";
  std::string real = real_path(join(path, below));
  return real == join(real_path(path), below) ? "" : real;
}

// Of an item at `path`, whose name is `name`, of a folder whose real path is `folder`.
std::string real_item(const OtherSources& others, const Folder::Item& item, const std::string& name,
                      const std::string& path, const std::string& folder) {
  if (!others.any()) return "";
  if (item.is_link) return real_path(path);
  return folder.empty() ? "" : join(folder, name);
}

class Walker {
 public:
  Walker(ListingSink& sink, OtherSources& others) : sink_(sink), others_(others) {}

  void enter(const struct stat& info) { open_.emplace_back(info.st_dev, info.st_ino); }

  // Walks the folder `below` of the one open at `fd`; `real` is its own real path.
  void walk_below(int fd, const std::string& path, std::string_view below, const std::string& real) {
    const auto slash = below.find('/');
    const std::string name(below.substr(0, slash));
    if (slash == std::string_view::npos) {
      descend(fd, name, join(path, name), real);
      return;
    }
    const Descriptor folder = open_folder(fd, name);
    struct stat info{};
    if (folder.get() < 0 || ::fstat(folder.get(), &info) != 0 || is_open(info)) return;
    enter(info);
    walk_below(folder.get(), join(path, name), below.substr(slash + 1), real);
    open_.pop_back();
  }

  // Walks the folder open at `fd`; `path` is its path, `real` its real path.
  void walk(int fd, const std::string& path, const std::string& real) {
    Folder folder;
    const bool complete = folder.read(fd, sink_);
    for (const Folder::Item& item : folder.items()) {
      if (sink_.stopped()) return;
      std::string name(folder.name(item));
      const bool is_folder = name.ends_with('/');
      if (is_folder) name.pop_back();
      std::string item_path = join(path, name);
      const std::string item_real = real_item(others_, item, name, item_path, real);
      if (others_.list(item_real, is_folder)) continue;
      if (is_folder) {
        descend(fd, name, std::move(item_path), item_real);
      } else {
        emit_file(fd, name, std::move(item_path));
      }
    }
    // Whatever could be listed has been; that the rest is missing must show.
    if (!complete) emit_folder(path);
  }

 private:
  void emit_file(int fd, const std::string& name, std::string&& path) {
    ++emitted_;
    sink_.emit(file_entry(fd, name, std::move(path)));
  }

  void emit_folder(std::string path) {
    Entry entry;
    entry.path = std::move(path);
    entry.directory = true;
    ++emitted_;
    sink_.emit(std::move(entry));
  }

  void descend(int parent, const std::string& name, std::string&& path, const std::string& real) {
    const Descriptor folder = open_folder(parent, name);
    struct stat info{};
    if (folder.get() < 0 || ::fstat(folder.get(), &info) != 0) {
      if (errno != ENOENT) emit_folder(std::move(path));
      return;
    }
    // A link to a folder that we are in: its photos are on their way already.
    if (is_open(info)) return;
    if (open_.size() >= kDeepest) {
      emit_folder(std::move(path));
      return;
    }
    enter(info);
    const std::uint64_t before = emitted_;
    walk(folder.get(), path, real);
    open_.pop_back();
    if (emitted_ == before && has_photo_extension(name)) emit_folder(std::move(path));
  }

  bool is_open(const struct stat& info) const {
    return std::find(open_.begin(), open_.end(), std::pair(info.st_dev, info.st_ino)) != open_.end();
  }

  ListingSink& sink_;
  OtherSources& others_;
  std::vector<std::pair<dev_t, ino_t>> open_;  // from the source down to where we are
  std::uint64_t emitted_ = 0;
};

[[noreturn]] void fail(const std::string& path, int error) {
  const ErrorCode code = error == ENOTDIR ? ErrorCode::kNotFound : system_error_code(error);
  throw Error(code, "cannot list " + escape_path(path) + ": " + system_reason(error));
}

}  // namespace

void list_local(const std::string& path, const std::string& below, ListingSink& sink) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) fail(path, errno);
  if (!S_ISDIR(info.st_mode)) {
    Entry entry;
    entry.path = path;
    if (S_ISREG(info.st_mode)) {
      entry.bytes = info.st_size;
      entry.mtime_ns = mtime_ns(info);
    }
    sink.emit(std::move(entry));
    return;
  }
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
  if (folder.get() < 0) fail(path, errno);
  OtherSources others(sink, path);
  Walker walker(sink, others);
  walker.enter(info);
  const std::string real = real_folder(others, path, below);
  if (below.empty()) {
    walker.walk(folder.get(), path, real);
  } else {
    walker.walk_below(folder.get(), path, below, real);
  }
}

std::optional<std::vector<ListingItem>> list_local_level(const std::string& path, const std::string& below,
                                                         const ListingSink& filter, std::size_t most) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) fail(path, errno);
  const std::string whole = join(path, below);
  if (!S_ISDIR(info.st_mode) || (!below.empty() && has_photo_extension(whole))) return std::nullopt;
  // A link that leads back to a folder above holds what is listed already.
  std::vector<std::pair<dev_t, ino_t>> above = {{info.st_dev, info.st_ino}};
  for (std::size_t end = 0; end < below.size(); ++end) {
    end = std::min(below.find('/', end), below.size());
    if (::stat(join(path, below.substr(0, end)).c_str(), &info) != 0) return std::nullopt;
    const std::pair id(info.st_dev, info.st_ino);
    if (std::find(above.begin(), above.end(), id) != above.end()) return std::vector<ListingItem>{};
    above.push_back(id);
  }
  const Descriptor handle(::open(whole.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
  Folder folder;
  if (handle.get() < 0 || !folder.read(handle.get(), filter) || folder.items().size() > most)
    return std::nullopt;
  OtherSources others(filter, path);
  const std::string real = real_folder(others, path, below);
  std::vector<ListingItem> items;
  for (const Folder::Item& item : folder.items()) {
    std::string name(folder.name(item));
    const bool is_folder = name.ends_with('/');
    if (is_folder) name.pop_back();
    std::string item_path = join(whole, name);
    if (others.list(real_item(others, item, name, item_path, real), is_folder)) continue;
    ListingItem& added = items.emplace_back();
    if (is_folder) {
      added.folder = join(below, name);
    } else {
      added.photo = file_entry(handle.get(), name, std::move(item_path));
    }
  }
  return items;
}

}  // namespace pomona
