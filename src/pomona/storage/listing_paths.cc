// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "pomona/base/text.h"
#include "pomona/storage/listing_internal.h"
#include "pomona/storage/uri_internal.h"

namespace pomona {
namespace {

// Longer than any path or key of a store: a file that is no list ends here, not in memory.
constexpr std::size_t kLongestPath = 1 << 20;

// The path that a file:// URI stands for, others as they are.
std::string plain(std::string&& path) {
  if (path.starts_with('/') || path.find("://") == std::string::npos || is_remote_uri(path))
    return std::move(path);
  try {
    return local_path(path);
  } catch (const Error&) {
    return std::move(path);  // reading it will say what is wrong
  }
}

// Cuts what arrives in pieces into paths. A NUL in the first piece that ends a path makes it a NUL-separated
// list.
class PathSplitter {
 public:
  PathSplitter(ListingSink& sink, std::string name) : sink_(sink), name_(std::move(name)) {}

  void add(std::string_view piece) {
    if (!separator_) {
      if (piece.find('\0') != std::string_view::npos) {
        separator_ = '\0';
      } else if (piece.find('\n') != std::string_view::npos) {
        separator_ = '\n';
      } else {
        rest_ += piece;  // not even one path: what ends it is still to come
        require_path();
        return;
      }
    }
    while (!piece.empty() && !sink_.stopped()) {
      const auto end = piece.find(*separator_);
      rest_ += piece.substr(0, end);
      require_path();
      if (end == std::string_view::npos) return;
      piece.remove_prefix(end + 1);
      flush();
    }
  }

  void flush() {
    if (separator_ != '\0' && rest_.ends_with('\r')) rest_.pop_back();
    if (!rest_.empty() && sink_.wants_listed_path(rest_)) {
      Entry entry;
      entry.path = plain(std::move(rest_));
      sink_.emit(std::move(entry));
    }
    rest_.clear();
  }

 private:
  void require_path() const {
    if (rest_.size() > kLongestPath)
      throw Error(ErrorCode::kFormat, name_ + " is no list of paths: a line is longer than 1 MiB");
  }

  ListingSink& sink_;
  std::string name_;
  std::string rest_;
  std::optional<char> separator_;
};

void read_descriptor(int fd, const std::string& name, PathSplitter& paths, const ListingSink& sink) {
  std::array<char, 1 << 16> piece;
  while (!sink.stopped()) {
    // Somebody may be typing the list: look now and then whether the job was stopped.
    pollfd waiting = {fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, 200);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) throw Error(ErrorCode::kIo, "cannot read the list " + name + ": " + std::strerror(errno));
    if (got == 0) {
      paths.flush();
      return;
    }
    paths.add({piece.data(), static_cast<std::size_t>(got)});
  }
}

}  // namespace

void list_paths_from(const std::string& file, ListingSink& sink) {
  if (file == "-") {
    PathSplitter paths(sink, "standard input");
    read_descriptor(STDIN_FILENO, "on standard input", paths, sink);
    return;
  }
  PathSplitter paths(sink, escape_path(file));
  if (is_remote_uri(file)) {
    const auto slash = file.rfind('/');
    paths.add(Store::open(file.substr(0, slash)).read(file.substr(slash + 1)));
    paths.flush();
    return;
  }
  const std::string path = local_path(file);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const ErrorCode code = errno == ENOENT   ? ErrorCode::kNotFound
                           : errno == EACCES ? ErrorCode::kPermission
                                             : ErrorCode::kIo;
    throw Error(code, "cannot read the list of paths " + escape_path(path) + ": " + std::strerror(errno));
  }
  try {
    read_descriptor(fd, escape_path(path), paths, sink);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
}

}  // namespace pomona
