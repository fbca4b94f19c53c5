// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/hash.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/store.h"

namespace pomona {

// A digest of which photos a part covers: path, size and time of change of each, in order.
class ListingDigest {
 public:
  void add(const Entry& entry);
  void add(const std::optional<std::string>& word);
  std::string hex();  // ends it and begins anew

 private:
  void pass_on();

  std::string pending_;
  ContentHash chain_{};
};

// What is said of listed photos, as far as the dataset has columns for it: a digest of the labels and splits
// of a part's photos, which the folders named as sources decide; and over all parts, what a warning needs.
class ToldDigest {
 public:
  void add(const RowDescriber& rows, const Entry& entry, const Schema& schema);
  std::string hex() { return digest_.hex(); }  // ends a part's and begins anew

  bool labelled() const { return labelled_; }                    // some photo has a label
  const std::string& first_path() const { return first_path_; }  // as rows have it

 private:
  ListingDigest digest_;
  bool labelled_ = false;
  std::string first_path_;
};

// What an earlier run left at a dataset's place, and how a new one goes on from there.
struct ResumePlan {
  std::string run_id;             // of the run that goes on; new where none was unfinished
  std::string file_id;            // for the names of new parts: earlier ones are read while these appear
  std::vector<PartRecord> parts;  // all that earlier runs published and that is still there
  nlohmann::json header;          // of the run that is gone on with; null where there was none
  nlohmann::json old_run;         // `_run.json` of the dataset that was finished before; null where none

  // The part that covers exactly the photos of `digest` from listing index `first` on, with the labels and
  // splits of `told`, without photos that could not be read: those are tried again.
  const PartRecord* find(std::uint64_t first, const std::string& digest, const std::string& told) const;
  // True where some part begins at `first`: only then is it worth holding a range of the listing back.
  bool may_cover(std::uint64_t first) const;
};

// Looks at `dest` and decides: absent -> begin; finished or unfinished -> go on with `resume`, remove with
// `overwrite`, else Error{kExists}. `header` is what must be equal for old parts to be of use;
// Error{kMismatch} names the fields that differ.
ResumePlan plan_resume(const Store& dest, const nlohmann::json& header, bool resume, bool overwrite);

}  // namespace pomona
