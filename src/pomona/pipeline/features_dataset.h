// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/model/fingerprint.h"
#include "pomona/pipeline/featurize.h"
#include "pomona/storage/dataset.h"

namespace pomona {

class LabelTable;

// How many of the first photos decide whether a dataset has a `split` column.
inline constexpr std::size_t kHeadPhotos = 256;

// The error of a listing without any photo.
Error no_photos(const ListingOptions& listing);

// Where local sources stand on this machine, without trailing slashes: as they appear in rows.
std::vector<std::string> normalized_sources(std::vector<std::string> sources);

// What a photo's place says about it: path as written in rows, label, split. Copies share the label table.
// Thread-safe.
class RowDescriber {
 public:
  // `labels` as in FeaturizeOptions; reads the table where one is named. Throws as LabelTable::read().
  RowDescriber(std::vector<std::string> sources, std::string labels);

  RowInfo describe(const Entry& entry) const;
  const std::string& labels() const { return labels_; }
  const LabelTable* table() const { return table_.get(); }  // null where there is none
  // Whether these photos, the first of a listing, ask for a `split` column.
  bool wants_splits(std::span<const Entry> head) const;

 private:
  std::vector<std::string> sources_;
  std::vector<std::string> roots_;  // of the sources, as paths below them begin
  std::string labels_;
  std::shared_ptr<const LabelTable> table_;
};

// How a features dataset is cut: a part holds whole blocks, a block is one row group.
struct FeaturesLayout {
  Schema schema;  // `splits` is for the caller to set
  std::size_t block_rows = 0;
  std::uint64_t photos_per_part = 0;
  std::uint64_t blocks_per_part() const { return photos_per_part / block_rows; }
};
FeaturesLayout features_layout(const FeaturizeOptions& options, int d);

// The first kHeadPhotos photos of a listing: they decide about the `split` column.
std::vector<Entry> list_head(ListingOptions listing);

// What must be equal for the parts of two runs to stand in one dataset; see plan_resume().
nlohmann::json features_header(const FeaturesLayout& layout, const RowDescriber& rows,
                               const Fingerprint& fingerprint);

// Warnings: the `split` column of the dataset `place` came too late; no photo has a label of the table
// `labels`, `path` being how rows name their photos.
std::string late_split_warning(const std::string& place);
std::string no_label_warning(const std::string& labels, const std::string& path);

// Reasons of rejects by "stage: reason"; further kinds beyond the first hundred are not counted.
void count_reason(std::map<std::string, std::uint64_t>& reasons, const std::string& stage,
                  const std::string& reason, std::uint64_t count = 1);

// What `_run.json` says of a features dataset, its parts excepted. `network` is the record of how the network
// was asked for, `preprocess` that of its pixels.
nlohmann::json features_record(const FeaturizeResult& result, const std::string& run_id,
                               const std::string& model, nlohmann::json network, nlohmann::json preprocess,
                               nlohmann::json header, nlohmann::json invocation);

}  // namespace pomona
