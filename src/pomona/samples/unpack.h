// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "pomona/base/progress.h"

namespace pomona {

struct UnpackOptions {
  int strip = 0;                           // leading folders to drop, as in `tar --strip-components`
  std::uint64_t max_bytes = 256ULL << 30;  // unpacked; more is taken for an archive bomb
  std::uint64_t max_ratio = 50;            // unpacked to archive, from 64 MiB on; more is taken for one, too
  std::uint64_t max_members = 5'000'000;   // files, folders, links
};

struct UnpackResult {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t skipped = 0;  // links and devices: never made
};

// Unpacks a tar (plain, gzip, bzip2, xz, zstd) or zip `archive` into `folder`, which must not exist yet: it
// appears whole or not at all. The archive is input from outside: a member that names a place outside the
// folder (by an absolute path, "..", or a backslash), has a name no file system takes, lies more than 32
// folders deep, comes twice, or is cut short ends in an Error{kFormat}, as does an archive over a limit;
// links and devices are left out with a warning; owners, modes and times are not taken over. Hooks tell bytes
// of the archive read. Throws Error{kNotFound | kExists | kFormat | kIo | kCancelled}.
UnpackResult unpack_archive(const std::filesystem::path& archive, const std::filesystem::path& folder,
                            const UnpackOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
