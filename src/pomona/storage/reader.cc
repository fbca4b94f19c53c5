// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/reader.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/descriptor_internal.h"
#include "pomona/storage/listing_internal.h"
#include "pomona/storage/remote_connect_internal.h"
#include "pomona/storage/store_internal.h"

namespace pomona {
namespace {

std::unexpected<Rejection> reject_errno(int error, bool directory) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return reject(Stage::kRead,
                    "there is no such file: it is gone since the folder was listed, or its name is wrong");
    case EACCES:
    case EPERM:
      return reject(Stage::kRead, directory
                                      ? "no permission to read this folder: the photos in it are missing"
                                      : "no permission to read this file");
    case ELOOP:
      return reject(Stage::kRead, "a symbolic link that leads in a circle");
    case ENAMETOOLONG:
      return reject(Stage::kRead, "the path is too long for this system");
    default:
      return reject(Stage::kRead, std::string("cannot be read: ") + std::strerror(error));
  }
}

// Errors that are the machine's, not the photo's.
bool is_machine_error(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

Outcome<void> check_size(std::int64_t bytes, const ReadOptions& options) {
  if (bytes == 0) return reject(Stage::kRead, "the file is empty (0 bytes)");
  if (static_cast<std::uint64_t>(bytes) > options.max_bytes) {
    return reject(Stage::kRead,
                  "the file is too large for a photo: " + human_bytes(static_cast<std::uint64_t>(bytes)) +
                      " (the limit is " + human_bytes(options.max_bytes) + ")");
  }
  return {};
}

Outcome<void> read_local(const Entry& entry, const ReadOptions& options, std::vector<std::byte>& bytes) {
  std::string decoded;
  if (entry.path.size() >= 7 && entry.path[4] == ':' && entry.path.find("://") != std::string::npos) {
    try {
      decoded = local_path(entry.path);
    } catch (const Error& error) {
      return reject(Stage::kRead, error.what());
    }
  }
  const std::string& path = decoded.empty() ? entry.path : decoded;
  if (path.find('\0') != std::string::npos) return reject(Stage::kRead, "the path holds a NUL byte");
  // O_NONBLOCK: a named pipe must not hang us.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) {
    if (is_machine_error(errno)) {
      throw Error(ErrorCode::kIo, "cannot open " + escape_path(path) + ": " + std::strerror(errno));
    }
    return reject_errno(errno, entry.directory);
  }
  struct stat before{};
  if (::fstat(file.get(), &before) != 0) return reject_errno(errno, entry.directory);
  if (S_ISDIR(before.st_mode)) {
    return reject(Stage::kRead,
                  entry.directory && !has_photo_extension(path)
                      ? "a folder that could not be listed to its end: photos in it may be missing"
                      : "a folder, not a photo");
  }
  if (!S_ISREG(before.st_mode)) return reject(Stage::kRead, "not a regular file (a pipe, socket or device)");
  if ((entry.bytes >= 0 && entry.bytes != before.st_size) ||
      (entry.mtime_ns != 0 && entry.mtime_ns != mtime_ns(before))) {
    return reject(Stage::kRead, "the file changed after it was listed");
  }
  if (auto outcome = check_size(before.st_size, options); !outcome) return outcome;
  bytes.resize(static_cast<std::size_t>(before.st_size));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t got = ::read(file.get(), bytes.data() + at, bytes.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return reject_errno(errno, false);
    if (got == 0) return reject(Stage::kRead, "the file changed while it was read: it became shorter");
    at += static_cast<std::size_t>(got);
  }
  struct stat after{};
  if (::fstat(file.get(), &after) != 0 || after.st_size != before.st_size ||
      mtime_ns(after) != mtime_ns(before)) {
    return reject(Stage::kRead, "the file changed while it was read");
  }
  return {};
}

constexpr std::int64_t kMarks = 16;
constexpr std::byte kMark{0xA5};
// A refusal's text comes into the same memory, and must fit for its code to be read.
constexpr std::int64_t kLeastRequest = 8192;

Outcome<void> read_remote(const Entry& entry, const Store& store, const std::string& key,
                          const ReadOptions& options, std::vector<std::byte>& bytes) {
  const RemoteLocation& location = remote_location(store);
  const std::string path = join(location.root, key);
  const auto refuse = [&](const arrow::Status& status) -> Outcome<void> {
    switch (error_code(status)) {
      case ErrorCode::kNotFound:
        return reject(
            Stage::kRead,
            "there is no such object: it is gone since the folder was listed, or its name is wrong");
      case ErrorCode::kPermission:
        if (is_account_refused(status)) break;
        return reject(Stage::kRead, "no permission to read this object");
      default:
        break;
    }
    throw remote_error(location, status, "cannot read " + escape_path(entry.path));
  };
  const auto whole_size = [&]() -> arrow::Result<std::int64_t> {
    ARROW_ASSIGN_OR_RAISE(const auto file, location.filesystem->OpenInputFile(path));
    return file->GetSize();
  };
  std::int64_t size = entry.bytes;
  if (size < 0) {
    const auto asked = whole_size();
    if (!asked.ok()) return refuse(asked.status());
    size = *asked;
  }
  if (auto outcome = check_size(size, options); !outcome) return outcome;

  // One request a photo: the size is the listing's. Arrow fills our memory but does not say how far, so more
  // is asked for than there should be, and marks show where the object ended.
  const std::int64_t wanted = std::max(size + kMarks, kLeastRequest);
  const auto end = static_cast<std::size_t>(size);
  bytes.resize(static_cast<std::size_t>(wanted));
  std::fill(bytes.begin() + size - 1, bytes.end(), kMark);
  arrow::fs::FileInfo info(path, arrow::fs::FileType::File);
  info.set_size(wanted);
  auto file = location.filesystem->OpenInputFile(info);
  if (!file.ok()) return refuse(file.status());
  const auto got = (*file)->ReadAt(0, wanted, bytes.data());
  if (!got.ok()) return refuse(got.status());
  // Bytes behind the marks are more of the object, or of a refusal that was longer than the object and came
  // before another try. A last byte that looks like a mark was not written, or is the photo's: one in 256
  // ends so.
  const bool longer =
      std::any_of(bytes.begin() + size, bytes.end(), [](std::byte byte) { return byte != kMark; });
  bool changed = *got < size;
  if (!changed && (longer || bytes[end - 1] == kMark)) {
    const auto asked = whole_size();
    if (!asked.ok()) return refuse(asked.status());
    changed = *asked != size;
  }
  if (changed) return reject(Stage::kRead, "the object changed after it was listed");
  bytes.resize(end);
  return {};
}

}  // namespace

struct PhotoReader::Impl {
  ReadOptions options;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const Store>> buckets;  // by scheme://authority

  std::shared_ptr<const Store> bucket(const RemoteUri& uri) {
    const std::string root = uri.scheme + "://" + uri.authority;
    const std::lock_guard lock(mutex);
    auto& store = buckets[root];
    if (!store) store = std::make_shared<const Store>(Store::open(root));
    return store;
  }
};

PhotoReader::PhotoReader(ReadOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
}
PhotoReader::~PhotoReader() = default;

Outcome<void> PhotoReader::read(const Entry& entry, std::vector<std::byte>& bytes) const {
  bytes.clear();
  Outcome<void> outcome;
  if (!is_remote_uri(entry.path)) {
    outcome = read_local(entry, impl_->options, bytes);
  } else {
    RemoteUri uri;
    std::shared_ptr<const Store> store = entry.store;
    std::string key;
    if (store) {
      key = entry.path.size() > store->uri().size() ? entry.path.substr(store->uri().size() + 1)
                                                    : std::string();
    } else {
      try {
        uri = parse_remote(entry.path, false);
        store = impl_->bucket(uri);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kUsage && error.code() != ErrorCode::kNotFound) throw;
        return reject(Stage::kRead, error.what());
      }
      key = uri.key;
    }
    if (key.empty()) return reject(Stage::kRead, "a bucket or folder, not a photo");
    outcome = read_remote(entry, *store, key, impl_->options, bytes);
  }
  if (!outcome) bytes.clear();
  return outcome;
}

}  // namespace pomona
