// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace pomona {

// `name` below a folder given as a local path or URI; a URI's options stay at its end:
// "s3://bucket/key?region=x" and "a" give "s3://bucket/key/a?region=x".
std::string uri_below(const std::string& folder, std::string_view name);

// What the paths of photos listed below a source begin with: local paths as they are, URIs without options
// and credentials, with the usual name of their scheme ("s3a://bucket/key/?region=x" gives
// "s3://bucket/key"). Throws Error{kUsage}.
std::string photo_root(const std::string& source);

// A word of a command line, or several, without the credentials that URIs in it carry before their '@' or in
// their options: "***" stands for them. For records and reports, which are handed on.
std::string without_credentials(std::string text);

// A file's place: the folder it lies in, for Store::open, with the URI's options, and its name in there.
struct FilePlace {
  std::string folder;  // "." where the path has none
  std::string name;
};
FilePlace file_place(const std::string& file);

}  // namespace pomona
