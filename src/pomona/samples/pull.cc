// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/pull.h"

#include <array>
#include <string>
#include <system_error>

#include "pomona/base/download.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

// Their authors add photos now and then: the archives are those of the day, so no hash can be stated.
constexpr std::array kDatasets = {
    PublicDataset{
        "fruits-360",
        "Fruits and vegetables on a turning shaft, white background, 100 x 100 pixels",
        "https://github.com/fruits-360/fruits-360-100x100/archive/refs/heads/main.tar.gz",
        "https://github.com/fruits-360/fruits-360-100x100",
        "CC BY-SA 4.0",
        "Mihai Oltean, Fruits-360 dataset, 2017-",
    },
    PublicDataset{
        "fruits-360-original-size",
        "The same fruits at the size they were filmed in",
        "https://github.com/fruits-360/fruits-360-original-size/archive/refs/heads/main.tar.gz",
        "https://github.com/fruits-360/fruits-360-original-size",
        "CC BY-SA 4.0",
        "Mihai Oltean, Fruits-360 dataset, 2017-",
    },
};

// Several times what the sets hold.
constexpr UnpackOptions kLimits = {.strip = 1, .max_bytes = 64ULL << 30, .max_members = 1'000'000};
constexpr std::uint64_t kLargestArchive = 32ULL << 30;

bool holds_something(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error));
}

}  // namespace

std::span<const PublicDataset> public_datasets() {
  return kDatasets;
}

const PublicDataset& find_dataset(std::string_view name) {
  std::string names;
  for (const PublicDataset& dataset : kDatasets) {
    if (dataset.name == name) return dataset;
    names += (names.empty() ? "" : ", ") + std::string(dataset.name);
  }
  throw Error(ErrorCode::kUsage,
              "there is no dataset \"" + std::string(name) + "\" to pull; known are: " + names);
}

UnpackResult pull_dataset(const PublicDataset& dataset, const fs::path& folder, const PullOptions& options,
                          const Hooks& hooks, std::stop_token stop) {
  if (holds_something(folder)) {
    throw Error(ErrorCode::kExists, folder.string() + " is there already: name a new folder");
  }
  const fs::path cache = options.cache.empty() ? cache_home() / "datasets" : options.cache;
  const fs::path archive = cache / (std::string(dataset.name) + ".tar.gz");
  // A whole archive in its place was put there by hand, or by a run that was stopped while it unpacked.
  std::error_code error;
  if (!fs::exists(archive, error)) {
    Hooks download_hooks = hooks;
    download_hooks.progress = [&](const Progress& progress) {
      if (stop.stop_requested()) {
        throw Error(ErrorCode::kCancelled, "stopped: the same command carries on with the download");
      }
      if (hooks.progress) hooks.progress(progress);
    };
    DownloadOptions download_options;
    download_options.allow_file_url = options.allow_file_url;
    download_options.max_bytes = kLargestArchive;
    download(std::string(dataset.url), archive, download_options, download_hooks);
  }
  fs::remove(folder, error);  // only an empty one can be there
  try {
    const UnpackResult result = unpack_archive(archive, folder, kLimits, hooks, stop);
    if (!options.keep_archive) fs::remove(archive, error);
    return result;
  } catch (const Error& failure) {
    if (failure.code() == ErrorCode::kFormat) fs::remove(archive, error);
    throw;
  }
}

}  // namespace pomona
