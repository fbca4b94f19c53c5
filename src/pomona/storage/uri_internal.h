// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace pomona {

// scheme://authority/key?options. The key is raw bytes.
struct RemoteUri {
  std::string scheme;     // lower case; s3a and s3n are s3, az and abfss are abfs
  std::string authority;  // bucket, container@account.host or host:port; may carry credentials
  std::string key;        // no slash at either end
  std::string options;    // "region=x&scheme=http" or empty
  bool operator==(const RemoteUri&) const = default;
};

// `with_options` off takes a '?' as part of the key. Throws Error{kUsage}.
RemoteUri parse_remote(std::string_view uri, bool with_options);

// The authority without credentials.
std::string shown_authority(const RemoteUri& uri);

// A local path: that of a file:// URI decoded, others as they are; repeated and trailing slashes removed.
// Throws Error{kUsage} for "", a NUL byte, or a file:// URI of another host.
std::string local_path(std::string_view uri_or_path);

// Checks that `name` stays below its folder: no "..", no leading slash, no NUL. Throws Error{kUsage}.
void check_name(std::string_view name);

// "a" + "b" -> "a/b"; either may be empty.
std::string join(std::string_view folder, std::string_view name);

}  // namespace pomona
