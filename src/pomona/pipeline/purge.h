// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"

namespace pomona {

// "14d", "12h", "2w", "30m", "90s". Throws Error{kUsage}.
std::chrono::seconds parse_age(std::string_view text);

struct PurgeOptions {
  // A dataset, a results folder, contributions, or whatever lies above them; with `photos` a folder of
  // photos.
  std::string dest;
  std::chrono::seconds older_than = std::chrono::days(14);
  bool photos = false;  // remove photo files instead of datasets
  bool yes = false;     // remove; else only find out what would go
  std::string log;      // local file that a line is added to for everything removed; needed with `yes`
};

// Something that goes (or would): a dataset, a file that was made from datasets, or a photo.
struct PurgeItem {
  std::string what;  // dataset | model | report | pca | table | photo | contributions
  std::string place;
  std::string kind;        // of a dataset: features, components, ...
  std::string state;       // of a dataset: finished | unfinished
  std::string date;        // when it was finished, else last changed: 2026-11-21T04:15:44Z
  std::string identity;    // of a dataset: the fingerprint's hash
  std::uint64_t rows = 0;  // of a dataset; photos of contributions
  std::uint64_t bytes = 0;
  bool removed = false;
  std::string failure;  // why it could not be removed; empty where nothing went wrong
};

struct PurgeResult {
  std::vector<PurgeItem> items;
  std::uint64_t kept = 0;   // datasets, contributions or photos that are too young
  std::uint64_t bytes = 0;  // of the items
};

// Finds what lies below `dest` and is older than the given age, and with `yes` removes it; a dataset's
// `_SUCCESS` goes first. Datasets are known by their run records; where all of a results folder's datasets
// go, so do the model.onnx, report.html, pca/pca.bin and reduced.csv beside them (by their contents ours).
// Of a store of contributions, the photos that are due go (contributions.h says when), the store stays.
// Photos are known by their extension, hidden ones are left. Nothing else is touched, no link is followed (a
// dataset with links among its folders is left, with a warning), folders that become empty go. The log names
// what went, when and how much, never what a photo shows; it is opened before anything is removed. An item
// that cannot be removed is reported, the others still go. Throws Error{kUsage}, Error{kNotFound} where
// `dest` is not there, Error{kIo | kPermission}, Error{kCancelled}.
PurgeResult purge(const PurgeOptions& options, const Hooks& hooks, std::stop_token stop = {});

// One line of the log.
nlohmann::json to_json(const PurgeItem& item);

}  // namespace pomona
