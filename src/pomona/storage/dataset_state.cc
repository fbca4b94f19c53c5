// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "pomona/base/text.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

constexpr const char* kFormatVersion = "format_version";

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::binary_search(names.begin(), names.end(), name);
}

std::vector<std::string> runs_below(const Store& dest) {
  std::vector<std::string> runs;
  for (std::string name : dest.list(kTemporary)) {
    if (!name.ends_with('/')) continue;
    name.pop_back();
    if (is_run_id(name)) runs.push_back(std::move(name));
  }
  return runs;
}

// A part's record where it can be read and its file stands as recorded.
std::optional<PartRecord> read_record(const Store& dest, const std::string& name) {
  try {
    PartRecord record = part_from_json(nlohmann::json::parse(dest.read(name)));
    if (record.file.empty() != (record.rows == 0)) return std::nullopt;
    if (!record.file.empty()) {
      if (dest.size(record.file) != static_cast<std::int64_t>(record.bytes)) return std::nullopt;
      if (record.file.ends_with(".parquet") && open_parquet(dest, record.file)->rows() != record.rows) {
        return std::nullopt;
      }
    }
    if (record.rejects_file.empty() != (record.rejected == 0)) return std::nullopt;
    if (!record.rejects_file.empty() && dest.size(record.rejects_file) < 0) return std::nullopt;
    return record;
  } catch (const Error& error) {
    // A damaged part is computed again; a store that does not answer must not be taken for an empty one.
    if (error.code() == ErrorCode::kIo || error.code() == ErrorCode::kPermission) throw;
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::optional<UnfinishedRun> read_run(const Store& dest, const std::string& run_id) {
  UnfinishedRun run;
  run.run_id = run_id;
  const std::string folder = run_folder(run_id);
  const std::vector<std::string> names = dest.list(folder);
  if (!contains(names, "run.json")) return std::nullopt;
  run.header = nlohmann::json::parse(dest.read(folder + "/run.json"), nullptr, false);
  if (run.header.is_discarded()) return std::nullopt;
  require_known_format(run.header, escape_path(dest.uri()));
  if (run.header.is_object()) run.header.erase(kFormatVersion);
  for (const std::string& name : names) {
    if (!name.starts_with("part-") || !name.ends_with(".json")) continue;
    if (auto record = read_record(dest, folder + "/" + name)) run.parts.push_back(std::move(*record));
  }
  std::sort(run.parts.begin(), run.parts.end(),
            [](const PartRecord& a, const PartRecord& b) { return a.index < b.index; });
  return run;
}

// Removes parts and rejects of ours that are not in `keep`; other people's files stay.
void remove_parts(const Store& dest, const std::set<std::string>& keep) {
  for (const std::string& name : dest.list("")) {
    if (is_part_name(name) && !keep.contains(name)) dest.remove(name);
  }
  bool empty = true;
  for (const std::string& name : dest.list(kRejects)) {
    const std::string full = std::string(kRejects) + "/" + name;
    if (is_part_name(name) && !keep.contains(full)) {
      dest.remove(full);
    } else {
      empty = false;
    }
  }
  if (empty) dest.remove_folder(kRejects);
}

}  // namespace

void require_known_format(const nlohmann::json& record, std::string_view shown) {
  if (!record.is_object()) return;
  const auto version = record.find(kFormatVersion);
  if (version == record.end()) return;
  if (version->is_number_integer() && *version >= 1 && *version <= kDatasetFormat) return;
  throw Error(ErrorCode::kFormat, std::string(shown) + " was written by a newer Pomona (format " +
                                      version->dump() + "; this one reads up to " +
                                      std::to_string(kDatasetFormat) + "): use that version for it");
}

DatasetState dataset_state(const Store& dest) {
  const std::vector<std::string> names = dest.list("");
  if (names.empty()) return DatasetState::kAbsent;
  const bool record = contains(names, kRunRecord);
  if (record && contains(names, kSuccess)) return DatasetState::kFinished;
  if (record) return DatasetState::kUnfinished;
  if (contains(names, std::string(kTemporary) + "/")) {
    const auto runs = runs_below(dest);
    if (!runs.empty()) return DatasetState::kUnfinished;
  }
  // A run that was killed while it began or removed itself leaves empty folders at most.
  for (const std::string& name : names) {
    const bool ours = name == std::string(kTemporary) + "/" || name == std::string(kRejects) + "/";
    if (!ours || !dest.list(name).empty()) return DatasetState::kForeign;
  }
  return DatasetState::kAbsent;
}

std::optional<UnfinishedRun> find_unfinished(const Store& dest) {
  std::optional<UnfinishedRun> best;
  const auto size = [](const UnfinishedRun& run) {
    std::uint64_t photos = 0;
    for (const PartRecord& part : run.parts) photos += part.rows + part.rejected;
    return photos;
  };
  for (const std::string& run_id : runs_below(dest)) {
    auto run = read_run(dest, run_id);
    if (run && (!best || size(*run) >= size(*best))) best = std::move(run);
  }
  return best;
}

void begin_run(const Store& dest, const std::string& run_id, const nlohmann::json& header) {
  if (!is_run_id(run_id)) throw Error(ErrorCode::kUsage, "a run id has 16 hex digits");
  dest.remove(kSuccess);
  nlohmann::json record = header;
  record[kFormatVersion] = kDatasetFormat;
  dest.write(run_folder(run_id) + "/run.json", record.dump(2));
}

void finish_run(const Store& dest, nlohmann::json run, const std::vector<PartRecord>& parts) {
  dest.remove(kSuccess);
  std::set<std::string> keep;
  run["parts"] = nlohmann::json::array();
  for (const PartRecord& part : parts) {
    if (!part.file.empty()) keep.insert(part.file);
    if (!part.rejects_file.empty()) keep.insert(part.rejects_file);
    run["parts"].push_back(to_json(part));
  }
  run[kFormatVersion] = kDatasetFormat;
  dest.write(kRunRecord, run.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  remove_parts(dest, keep);
  dest.remove_folder(kTemporary);
  dest.write(kSuccess, "");
}

void remove_dataset(const Store& dest) {
  if (dest.exists(kRunRecord)) {
    require_known_format(nlohmann::json::parse(dest.read(kRunRecord), nullptr, false),
                         escape_path(dest.uri()));
  }
  dest.remove(kSuccess);
  remove_parts(dest, {});
  dest.remove_folder(kTemporary);
  // Last, so that what is left of a removal that was interrupted is still known as ours.
  dest.remove(kRunRecord);
}

}  // namespace pomona
