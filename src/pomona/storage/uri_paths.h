// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace pomona {

// `name` below a folder given as a local path or URI; a URI's options stay at its end:
// "s3://bucket/key?region=x" and "a" give "s3://bucket/key/a?region=x".
std::string uri_below(const std::string& folder, std::string_view name);

// A file's place: the folder it lies in, for Store::open, with the URI's options, and its name in there.
struct FilePlace {
  std::string folder;  // "." where the path has none
  std::string name;
};
FilePlace file_place(const std::string& file);

}  // namespace pomona
