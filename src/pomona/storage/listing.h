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
  std::vector<std::string> sources;  // folders, single files, glob-free URIs; listed one after the other
  std::optional<std::string> glob;   // on the file name; none = the extensions we can decode
  std::optional<std::string>
      paths_from;  // a file with one path a line (or NUL-separated), "-" = stdin; instead of sources
  std::optional<std::uint64_t> limit;  // the first N
};

// Calls `sink` for every photo below the sources, as they are found, in a fixed order: by full key, bytewise,
// as S3 lists. Hidden folders and files (leading '_' or '.') are left out, except where named as a source.
// `sink` returns false to stop. Memory is bounded by one page or one local folder. A path of a list that
// does not exist is passed on like any other: reading it rejects it. A source that does not exist throws
// Error{kNotFound}; one without any photo ends with zero calls. Runs on the calling thread.
void list_photos(const ListingOptions& options, const std::function<bool(Entry&&)>& sink,
                 std::stop_token stop = {});

// Shell glob on a name: * ? [a-z] {a,b}.
bool glob_match(std::string_view pattern, std::string_view name);

}  // namespace pomona
