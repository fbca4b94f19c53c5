// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"

namespace pomona {

// What stands at a dataset's place, and whether it is whole.
struct DatasetCheck {
  std::string place;
  std::string state;  // finished | unfinished
  std::string kind;   // features | components | predictions
  std::uint64_t parts = 0;
  std::uint64_t bytes = 0;
  std::uint64_t rows = 0;
  std::uint64_t rejected = 0;
  int d = 0;  // 0 for predictions
  std::string precision;
  std::string identity_hash;
  std::vector<std::string> damage;  // one sentence each; empty = none found

  bool sound() const { return damage.empty() && state == "finished"; }
};

// Inventory of the dataset at `dest`, or of all datasets right below it (a results folder of `run`). Every
// part is read and its SHA-256, rows and width compared with what `_run.json` records.
// Throws Error{kNotFound} where there is none.
std::vector<DatasetCheck> check_datasets(const std::string& dest, const Hooks& hooks);

nlohmann::json to_json(const DatasetCheck& check);

}  // namespace pomona
