// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <mutex>
#include <optional>

#include "pomona/base/json_text.h"
#include "pomona/base/text.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

// Row groups under way from a distant store, for each thread that takes them: enough that their answers
// follow each other closely.
constexpr int kRemoteReaders = 4;

bool is_csv(std::string_view name) {
  return name.ends_with(".csv");
}
bool is_data(std::string_view name) {
  return !name.starts_with('_') && !name.starts_with('.') && (name.ends_with(".parquet") || is_csv(name));
}

std::string last_part(const std::string& uri) {
  const auto slash = uri.rfind('/');
  return slash == std::string::npos ? uri : uri.substr(slash + 1);
}

// The folder of the single file that `dest` is; none where it is a folder itself.
std::optional<Store> folder_of_file(const Store& dest) {
  if (!is_data(last_part(dest.uri()))) return std::nullopt;
  try {
    if (!dest.list("").empty()) return std::nullopt;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUsage) throw;
  }
  return dest.parent();
}

std::unique_ptr<BlockReader> open_file(const Store& store, const std::string& name) {
  return is_csv(name) ? open_csv(store, name) : open_parquet(store, name);
}

}  // namespace

struct DatasetReader::Impl {
  Store dest;
  Schema schema;
  nlohmann::json run;
  std::vector<PartRecord> parts;
  std::vector<std::string> rejects;
  std::uint64_t rows = 0;

  // The part that was read last, kept open: opening one in a distant store takes as long as reading a row
  // group.
  mutable std::mutex mutex;  // guards what follows
  mutable std::size_t last = 0;
  mutable std::shared_ptr<const BlockReader> last_file;

  explicit Impl(const Store& store) : dest(store) {}

  int readers(int threads) const { return dest.is_local() ? threads : std::max(threads, kRemoteReaders); }

  void take_parts(const nlohmann::json& list) {
    if (!list.is_array())
      throw Error(ErrorCode::kFormat, escape_path(dest.uri()) + "/_run.json lists no parts");
    for (const auto& json : list) parts.push_back(part_from_json(json));
  }

  // Files that some other program wrote.
  void take_files(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (!is_data(name)) continue;
      PartRecord part;
      part.file = name;
      part.index = parts.size();
      part.rows = open_file(dest, name)->rows();
      part.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, dest.size(name)));
      parts.push_back(std::move(part));
    }
  }

  void take_schema() {
    bool first = true;
    for (const PartRecord& part : parts) {
      rows += part.rows;
      if (!part.rejects_file.empty()) rejects.push_back(part.rejects_file);
      if (part.file.empty() || !first) continue;
      schema = open_file(dest, part.file)->schema();
      // A file without rows does not say how long its vectors are.
      first = schema.d == 0;
    }
    if (first && parts.empty()) {
      throw Error(ErrorCode::kNotFound,
                  escape_path(dest.uri()) + " holds no dataset: no .parquet or .csv files");
    }
  }
};

DatasetReader DatasetReader::open(const Store& dest, bool require_success) {
  auto impl = std::make_shared<Impl>(dest);
  const std::string shown = escape_path(dest.uri());
  if (auto folder = folder_of_file(dest)) {
    const std::string name = last_part(dest.uri());
    if (!folder->exists(name)) throw Error(ErrorCode::kNotFound, "there is no file or folder " + shown);
    impl->dest = std::move(*folder);
    impl->take_files({name});
    impl->take_schema();
    DatasetReader reader;
    reader.impl_ = std::move(impl);
    return reader;
  }
  const DatasetState state = dataset_state(dest);
  if (state == DatasetState::kAbsent) throw Error(ErrorCode::kNotFound, "there is no dataset at " + shown);
  if (state == DatasetState::kUnfinished && require_success) {
    throw Error(ErrorCode::kNotFound,
                "the dataset at " + shown +
                    " is not finished: end it with --resume, or make it anew with --overwrite");
  }
  bool has_record = false;
  if (state != DatasetState::kForeign && dest.exists("_run.json")) {
    impl->run = parse_json(dest.read("_run.json"));
    if (!impl->run.is_object()) {
      throw Error(ErrorCode::kFormat,
                  shown +
                      "/_run.json is damaged: it is not a JSON object. Copy it again from "
                      "where it came, or make the dataset anew with --overwrite.");
    }
    require_known_format(impl->run, shown);
    has_record = true;
  }
  if (has_record) {
    impl->take_parts(impl->run.value("parts", nlohmann::json()));
  } else if (state == DatasetState::kUnfinished) {
    if (auto unfinished = find_unfinished(dest)) impl->parts = std::move(unfinished->parts);
  } else {
    impl->take_files(dest.list(""));
  }
  impl->take_schema();
  DatasetReader reader;
  reader.impl_ = std::move(impl);
  return reader;
}

DatasetReader DatasetReader::open_parts(const Store& dest, const Schema& schema,
                                        std::vector<PartRecord> parts) {
  auto impl = std::make_shared<Impl>(dest);
  impl->schema = schema;
  impl->parts = std::move(parts);
  if (impl->parts.size() == 1 && impl->parts.front().file == last_part(dest.uri())) {
    if (auto folder = folder_of_file(dest)) impl->dest = std::move(*folder);
  }
  for (const PartRecord& part : impl->parts) {
    impl->rows += part.rows;
    if (!part.rejects_file.empty()) impl->rejects.push_back(part.rejects_file);
  }
  DatasetReader reader;
  reader.impl_ = std::move(impl);
  return reader;
}

const Schema& DatasetReader::schema() const {
  return impl_->schema;
}
const nlohmann::json& DatasetReader::run() const {
  return impl_->run;
}
const std::vector<PartRecord>& DatasetReader::parts() const {
  return impl_->parts;
}
std::uint64_t DatasetReader::rows() const {
  return impl_->rows;
}

void DatasetReader::read_part(std::size_t index, bool with_vectors, const std::function<bool(Block&&)>& sink,
                              int threads) const {
  const auto file = open_part(index);
  if (file != nullptr) read_side_by_side(*file, with_vectors, impl_->readers(threads), sink);
}

void DatasetReader::read(bool with_vectors, const std::function<bool(Block&&)>& sink) const {
  for (std::size_t i = 0; i < impl_->parts.size(); ++i) {
    const auto file = open_part(i);
    if (file != nullptr && !read_side_by_side(*file, with_vectors, impl_->readers(1), sink)) return;
  }
}

std::shared_ptr<const BlockReader> DatasetReader::open_part(std::size_t index) const {
  if (index >= impl_->parts.size())
    throw Error(ErrorCode::kUsage, "the dataset has no part " + std::to_string(index));
  const PartRecord& part = impl_->parts[index];
  if (part.file.empty()) return nullptr;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->last_file != nullptr && impl_->last == index) return impl_->last_file;
  }
  std::shared_ptr<const BlockReader> file = open_file(impl_->dest, part.file);
  if (part.rows > 0 && file->schema().d != impl_->schema.d) {
    throw Error(ErrorCode::kFormat, escape_path(impl_->dest.uri() + "/" + part.file) + " has vectors of " +
                                        std::to_string(file->schema().d) + " numbers, other parts of " +
                                        std::to_string(impl_->schema.d));
  }
  const std::lock_guard lock(impl_->mutex);
  impl_->last = index;
  impl_->last_file = file;
  return file;
}

std::size_t DatasetReader::row_groups(std::size_t index) const {
  const auto file = open_part(index);
  return file == nullptr ? 0 : file->row_groups();
}

Block DatasetReader::read_row_group(std::size_t index, std::size_t group, bool with_vectors) const {
  Block whole;
  const auto file = open_part(index);
  if (file == nullptr) return whole;
  if (group >= file->row_groups())
    throw Error(ErrorCode::kUsage,
                "part " + std::to_string(index) + " has no row group " + std::to_string(group));
  file->read_groups(group, group + 1, with_vectors, [&](Block&& block) {
    whole.rows.insert(whole.rows.end(), std::make_move_iterator(block.rows.begin()),
                      std::make_move_iterator(block.rows.end()));
    whole.vectors.insert(whole.vectors.end(), block.vectors.begin(), block.vectors.end());
    return true;
  });
  return whole;
}

std::vector<RejectRow> DatasetReader::rejects() const {
  std::vector<RejectRow> rows;
  for (const std::string& name : impl_->rejects) {
    auto more = read_rejects(impl_->dest, name);
    rows.insert(rows.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  return rows;
}

}  // namespace pomona
