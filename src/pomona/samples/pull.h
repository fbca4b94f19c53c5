// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stop_token>
#include <string_view>

#include "pomona/base/progress.h"
#include "pomona/samples/unpack.h"

namespace pomona {

// A public set of photos that can be fetched.
struct PublicDataset {
  std::string_view name;         // for example "fruits-360"
  std::string_view description;  // one line
  std::string_view url;          // of the archive
  std::string_view page;         // where its authors describe it
  std::string_view licence;
  std::string_view cite;
};

std::span<const PublicDataset> public_datasets();

// The set of that name. Throws Error{kUsage} that lists the names.
const PublicDataset& find_dataset(std::string_view name);

struct PullOptions {
  std::filesystem::path cache;  // where the archive waits; empty = cache_home()/datasets
  bool keep_archive = false;
  bool allow_file_url = false;  // for tests: as in DownloadOptions
};

// Fetches the archive of `dataset`, carrying on with what an earlier try left, and unpacks it as `folder`
// (without the archive's own top folder). The archive is removed afterwards, also where it proves damaged.
// Hooks tell bytes of the download, then bytes of the archive read.
// Throws Error{kExists} where `folder` holds something, and as download() and unpack_archive() do.
UnpackResult pull_dataset(const PublicDataset& dataset, const std::filesystem::path& folder,
                          const PullOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
