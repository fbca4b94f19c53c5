// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/storage/store.h"

namespace pomona {

struct ListingOptions {
  std::vector<std::string> sources = {};  // folders, single files, URIs without globs; one after the other
  std::optional<std::string> glob = {};   // on the file name; none = the extensions we can decode
  // Instead of sources: a file with one path a line (or NUL-separated), "-" = standard input.
  std::optional<std::string> paths_from = {};
  std::optional<std::uint64_t> limit = {};  // the first N
};

// Calls `sink` for every photo below the sources, as they are found, in a fixed order: by full key, bytewise,
// as S3 lists (a local folder sorts as "name/"). Hidden folders and files (leading '_' or '.') are left out,
// except where named as a source; photos are known by extension: jpg jpeg jpe jfif png webp heic heif avif in
// either case. A single file named as a source is passed on whatever its name. `sink` returns false to stop.
// Memory is bounded by one page of a store's listing or the names of one local folder.
//
// What must end as a rejected photo, so that counts add up, is passed on like a photo, and reading rejects
// it: a path of a list that does not exist; a folder named like a photo with no photo below it, and a local
// folder that cannot be read or is nested more than 200 deep (Entry::directory). Links are followed, save to
// a folder that we are in, and to what another local source lists itself. In a list a '\r' before the '\n' is
// dropped, and a NUL in its first 64 KiB makes it NUL-separated; its URIs carry no options (a '?' is part of
// the key).
//
// A source that does not exist throws Error{kNotFound}, one that may not be read Error{kPermission}; one
// without any photo ends with zero calls. Runs on the calling thread.
void list_photos(const ListingOptions& options, const std::function<bool(Entry&&)>& sink,
                 std::stop_token stop = {});

// Throws Error{kUsage} where one of the sources is another by another name, or lies in it, so that photos
// would be listed twice: symbolic links are followed up to the source itself (list_photos() sees to those
// below it), and of object stores the server counts, not the other options. Paths of a list may repeat. Reads
// no folder.
void require_separate_sources(const ListingOptions& options);

// Shell glob on a name: * ? [a-z] {a,b}.
bool glob_match(std::string_view pattern, std::string_view name);

}  // namespace pomona
