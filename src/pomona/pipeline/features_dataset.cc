// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/features_dataset.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <utility>

#include "pomona/base/text.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/labels.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

constexpr std::size_t kReasonKinds = 100;

// Rows per block: about 4 MB of vectors, a power of two so that parts hold whole blocks.
std::size_t block_rows_for(int d) {
  const std::size_t rows = (std::size_t{4} << 20) / (static_cast<std::size_t>(d) * sizeof(float));
  return std::clamp<std::size_t>(std::bit_floor(std::max<std::size_t>(rows, 1)), 16, 512);
}

}  // namespace

Error no_photos(const ListingOptions& listing) {
  return {ErrorCode::kNotFound,
          "no photos were found in " +
              (listing.sources.empty() ? std::string("the list") : listing.sources.front()) +
              ". Looked for JPEG, PNG, WebP and HEIC files by their endings; name another pattern with "
              "--glob."};
}

std::vector<std::string> normalized_sources(std::vector<std::string> sources) {
  for (std::string& source : sources) {
    if (!is_remote_uri(source))
      source = std::filesystem::absolute(Store::open(source).uri()).lexically_normal().string();
    while (source.size() > 1 && source.back() == '/') source.pop_back();
  }
  return sources;
}

RowDescriber::RowDescriber(std::vector<std::string> sources, std::string labels)
    : sources_(std::move(sources)), labels_(std::move(labels)) {
  for (const std::string& source : sources_) roots_.push_back(photo_root(source));
  if (labels_ != "none" && labels_ != "folder") {
    table_ = std::make_shared<const LabelTable>(LabelTable::read(labels_));
  }
}

RowInfo RowDescriber::describe(const Entry& entry) const {
  RowInfo info;
  const bool relative = !entry.path.starts_with('/') && !is_remote_uri(entry.path);
  info.path =
      escape_path(relative ? std::filesystem::absolute(entry.path).lexically_normal().string() : entry.path);
  std::string_view root;
  for (const std::string& source : roots_) {
    if (entry.path.starts_with(source) && source.size() > root.size()) root = source;
  }
  if (table_) {
    if (const auto* found = table_->find(entry.path)) info.label = found->front();
  } else if (labels_ == "folder") {
    info.label = folder_label(entry.path, root);
    if (info.label) info.label = escape_path(*info.label);
  }
  info.split = path_split(entry.path, root);
  return info;
}

bool RowDescriber::wants_splits(std::span<const Entry> head) const {
  if (std::ranges::any_of(head, [&](const Entry& entry) { return describe(entry).split.has_value(); })) {
    return true;
  }
  // A listing that goes on may come to such a folder later.
  return head.size() == kHeadPhotos && std::ranges::any_of(sources_, [](const auto& source) {
           return !is_remote_uri(source) && has_split_folder(source);
         });
}

std::vector<Entry> list_head(ListingOptions listing) {
  listing.limit = std::min<std::uint64_t>(listing.limit.value_or(kHeadPhotos), kHeadPhotos);
  std::vector<Entry> head;
  list_photos(listing, [&](Entry&& entry) {
    head.push_back(std::move(entry));
    return true;
  });
  return head;
}

FeaturesLayout features_layout(const FeaturizeOptions& options, int d) {
  FeaturesLayout layout;
  layout.schema.d = d;
  layout.schema.format = options.format;
  layout.schema.csv_packed = options.csv_packed && options.format == Format::kCsv;
  layout.schema.labels = options.labels != "none";
  std::uint64_t rows = options.rows_per_file;
  if (options.bytes_per_file)
    rows = *options.bytes_per_file / (static_cast<std::uint64_t>(d) * sizeof(float));
  rows = std::max<std::uint64_t>(rows, 1);
  // Parts hold whole blocks: as many as needed, each as large as makes the part about as large as asked.
  const std::size_t largest = block_rows_for(d);
  const std::uint64_t blocks = (rows + largest - 1) / largest;
  layout.block_rows = static_cast<std::size_t>((rows + blocks - 1) / blocks);
  layout.photos_per_part = blocks * layout.block_rows;
  return layout;
}

nlohmann::json features_header(const FeaturesLayout& layout, const RowDescriber& rows,
                               const Fingerprint& fingerprint) {
  nlohmann::json header = {{"kind", "features"},
                           {"identity", fingerprint.identity},
                           {"precision", fingerprint.precision},
                           {"format", to_string(layout.schema.format)},
                           {"labels", rows.labels()},
                           {"rows_per_file", layout.photos_per_part}};
  if (layout.schema.format == Format::kCsv)
    header["csv_layout"] = layout.schema.csv_packed ? "packed" : "wide";
  if (rows.table() != nullptr) header["labels_sha256"] = rows.table()->sha256();
  return header;
}

std::string late_split_warning(const std::string& place) {
  return "folders named like a split (Training, Validation, Test) came too late in the listing, or only now, "
         "for " +
         place + " to have a split column. List them first (name them as SOURCEs), or use --overwrite.";
}

std::string no_label_warning(const std::string& labels, const std::string& path) {
  return "no photo has a label of " + labels + ": its key column must hold paths or file names such as " +
         path;
}

void count_reason(std::map<std::string, std::uint64_t>& reasons, const std::string& stage,
                  const std::string& reason, std::uint64_t count) {
  const std::string key = stage + ": " + reason;
  if (reasons.size() < kReasonKinds || reasons.contains(key)) reasons[key] += count;
}

nlohmann::json features_record(const FeaturizeResult& result, const std::string& run_id,
                               const std::string& model, nlohmann::json network, nlohmann::json preprocess,
                               nlohmann::json header, nlohmann::json invocation) {
  return {{"kind", "features"},
          {"run_id", run_id},
          {"finished", utc_now()},
          {"machine", machine_record()},
          {"model", model},
          {"network", std::move(network)},
          {"fingerprint", to_json(result.fingerprint)},
          {"preprocess", std::move(preprocess)},
          {"header", std::move(header)},
          {"invocation", std::move(invocation)},
          {"schema",
           {{"vector_column", result.schema.vector_column},
            {"d", result.schema.d},
            {"labels", result.schema.labels},
            {"splits", result.schema.splits},
            {"format", to_string(result.schema.format)}}},
          {"counts",
           {{"listed", result.listed},
            {"written", result.written},
            {"rejected", result.rejected},
            {"computed", result.computed},
            {"reused", result.reused},
            {"identical", result.identical}}},
          {"reject_reasons", result.reject_reasons},
          {"seconds", result.seconds},
          {"first_vector_seconds", result.first_vector_seconds},
          {"stages", result.stages}};
}

}  // namespace pomona
