// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/paths.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "pomona/base/error.h"

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

[[noreturn]] void fail(const std::string& what, const std::filesystem::path& file, int error) {
  const ErrorCode code = error == ENOENT                     ? ErrorCode::kNotFound
                         : error == EACCES || error == EPERM ? ErrorCode::kPermission
                                                             : ErrorCode::kIo;
  throw Error(code, what + " " + file.string() + ": " + std::strerror(error));
}

}  // namespace

std::filesystem::path models_home() {
  const auto home = home_of("XDG_DATA_HOME", ".local/share", "");
  return home / "models";
}

std::filesystem::path cache_home() {
  return home_of("XDG_CACHE_HOME", ".cache", "cache");
}

void write_file_atomically(const std::filesystem::path& file, std::string_view bytes) {
  std::error_code ignored;
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ignored);
  std::string temporary;
  int fd = -1;
  std::random_device random;
  for (int attempt = 0; fd < 0 && attempt < 100; ++attempt) {
    temporary = file.string() + "." + std::to_string(random()) + ".tmp";
    fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) fail("cannot write", file, errno);
  int error = 0;
  while (!bytes.empty() && error == 0) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && fsync(fd) != 0) error = errno;
  if (close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(temporary.c_str(), file.c_str()) != 0) error = errno;
  if (error != 0) {
    unlink(temporary.c_str());
    fail("cannot write", file, error);
  }
}

std::string read_file(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) fail("cannot read", file, errno != 0 ? errno : EIO);
  std::error_code not_a_file;
  if (std::filesystem::is_directory(file, not_a_file)) {
    throw Error(ErrorCode::kIo, "cannot read " + file.string() + ": it is a folder");
  }
  std::ostringstream bytes;
  bytes << in.rdbuf();
  if (in.bad()) throw Error(ErrorCode::kIo, "cannot read " + file.string() + " to its end");
  return std::move(bytes).str();
}

}  // namespace pomona
