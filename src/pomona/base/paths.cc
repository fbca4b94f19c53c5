// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "pomona/base/descriptor.h"
#include "pomona/base/system_error.h"

namespace pomona {
namespace {

std::filesystem::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::filesystem::path home_of(const char* xdg_name, const char* below_home, const char* below_pomona) {
  if (const auto pomona = from_environment("POMONA_HOME"); !pomona.empty()) return pomona / below_pomona;
  if (const auto xdg = from_environment(xdg_name); !xdg.empty() && xdg.is_absolute()) return xdg / "pomona";
  const auto home = from_environment("HOME");
  if (home.empty()) {
    throw Error(ErrorCode::kUsage, "HOME is not set: say where networks are kept with POMONA_HOME=FOLDER");
  }
  return home / below_home / "pomona";
}

// 0 or errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& file, int error) {
  throw Error(system_error_code(error), what + " " + file.string() + ": " + system_reason(error));
}

}  // namespace

std::filesystem::path models_home() {
  const auto home = home_of("XDG_DATA_HOME", ".local/share", "");
  return home / "models";
}

std::filesystem::path cache_home() {
  return home_of("XDG_CACHE_HOME", ".cache", "cache");
}

bool is_stream(const std::filesystem::path& file) {
  std::error_code ignored;
  const auto status = std::filesystem::status(file, ignored);
  return std::filesystem::exists(status) && std::filesystem::is_other(status);
}

void write_file_atomically(const std::filesystem::path& name, std::string_view bytes) {
  if (is_stream(name)) {
    const Descriptor out(open(name.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
    const int error = out.get() < 0 ? errno : write_all(out.get(), bytes);
    if (error != 0) fail("cannot write", name, error);
    return;
  }
  std::error_code ignored;
  std::filesystem::path file = name;
  // Followed by hand: what the last link names need not be there yet.
  for (int links = 0; links < 40 && std::filesystem::is_symlink(file, ignored); ++links) {
    file = file.parent_path() / std::filesystem::read_symlink(file, ignored);
  }
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ignored);
  // Where the file system can, the file has no name while it grows: whoever is killed leaves nothing behind.
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  int fd = open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  std::string temporary;
  const bool nameless = fd >= 0;
  std::random_device random;
  for (int attempt = 0; fd < 0 && attempt < 100; ++attempt) {
    temporary = file.string() + "." + std::to_string(random()) + ".tmp";
    fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) fail("cannot write", file, errno);
  int error = write_all(fd, bytes);
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (error == 0 && nameless) {
    // A link replaces nothing, so it takes a name first; /proc, as AT_EMPTY_PATH needs a capability.
    const std::string self = "/proc/self/fd/" + std::to_string(fd);
    for (int attempt = 0; attempt < 100; ++attempt) {
      temporary = file.string() + "." + std::to_string(random()) + ".tmp";
      error = linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
      if (error != EEXIST) break;
    }
  }
  if (close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(temporary.c_str(), file.c_str()) != 0) error = errno;
  if (error != 0) {
    if (!temporary.empty()) unlink(temporary.c_str());
    fail("cannot write", file, error);
  }
}

std::string read_file(const std::filesystem::path& file) {
  const Descriptor in(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (in.get() < 0) fail("cannot read", file, errno);
  struct stat info{};
  if (fstat(in.get(), &info) != 0) fail("cannot read", file, errno);
  if (S_ISDIR(info.st_mode)) throw Error(ErrorCode::kIo, "cannot read " + file.string() + ": it is a folder");
  // A pipe or a file of /proc has no size: it is read until it ends, as everything is.
  std::string bytes;
  constexpr std::size_t kPiece = 1 << 16;
  bytes.resize(info.st_size > 0 ? static_cast<std::size_t>(info.st_size) + 1 : kPiece);
  for (std::size_t at = 0;;) {
    if (at == bytes.size()) bytes.resize(bytes.size() + std::max(kPiece, bytes.size() / 2));
    const ssize_t got = ::read(in.get(), bytes.data() + at, bytes.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read", file, errno);
    if (got == 0) {
      bytes.resize(at);
      return bytes;
    }
    at += static_cast<std::size_t>(got);
  }
}

}  // namespace pomona
