// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "pomona/base/progress.h"

namespace pomona {

struct DownloadOptions {
  std::string sha256;                     // expected, lower-case hex; empty = not checked
  std::uint64_t bytes = 0;                // expected size; 0 = not known
  std::uint64_t max_bytes = 64ULL << 30;  // where the size is not known: more is refused
  int attempts = 4;                       // with backoff, for what may pass (resets, 5xx, 429)
  bool allow_file_url = false;            // for tests: file:// and http:// to loopback
};

// Fetches `url` to `file`: resumes `file`.part by a Range request, checks size and hash, then renames.
// Proxies as libcurl reads them from the environment. At most 8 redirects, only to https, and every
// connection only to a public address, looked at when the connection is made (a name that resolves to another
// address later gains nothing). Behind a proxy, names are resolved by the proxy: then private addresses and
// local names are refused as redirects say them, and the rest is the proxy's to refuse. Throws
// Error{kUnavailable} offline or where the server refuses (with its status), Error{kMismatch} where size or
// hash differ (the partial file is removed), Error{kIo}.
void download(const std::string& url, const std::filesystem::path& file, const DownloadOptions& options,
              const Hooks& hooks);

}  // namespace pomona
