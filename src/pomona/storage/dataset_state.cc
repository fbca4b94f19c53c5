// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "pomona/base/descriptor.h"
#include "pomona/base/json_text.h"
#include "pomona/base/system_error.h"
#include "pomona/base/text.h"
#include "pomona/storage/dataset_internal.h"
#include "pomona/storage/hold_place.h"

namespace pomona {
namespace {

constexpr const char* kFormatVersion = "format_version";
constexpr std::chrono::seconds kPatience{20};    // with a run that ends as well, and may have died
constexpr std::chrono::milliseconds kLook{100};  // between two looks at it

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
    PartRecord record = part_from_json(parse_json(dest.read(name)));
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
  }
}

std::optional<UnfinishedRun> read_run(const Store& dest, const std::string& run_id) {
  UnfinishedRun run;
  run.run_id = run_id;
  const std::string folder = run_folder(run_id);
  const std::vector<std::string> names = dest.list(folder);
  if (!contains(names, "run.json")) return std::nullopt;
  run.header = parse_json(dest.read(folder + "/run.json"));
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

// Files beside the parts that are about them, so that they go with them, and what a killed write of a file of
// ours left of it.
bool is_side_file(std::string_view name) {
  if (name == "_moments.bin" || name == "_pca.bin" || name == "_report.html") return true;
  if (!name.ends_with(".tmp")) return false;
  for (const std::string_view own : {kRunRecord, kSuccess, std::string_view("_moments.bin"),
                                     std::string_view("_pca.bin"), std::string_view("_report.html")}) {
    if (name.starts_with(own) && name.substr(own.size()).starts_with('.')) return true;
  }
  return false;
}

// An open folder; an empty one that was made for it goes with it.
class HeldFolder {
 public:
  HeldFolder(std::string path, bool made)
      : path_(std::move(path)),
        made_(made),
        folder_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  ~HeldFolder() {
    if (made_ && fd() >= 0) ::rmdir(path_.c_str());
  }
  HeldFolder(const HeldFolder&) = delete;
  HeldFolder& operator=(const HeldFolder&) = delete;

  int fd() const { return folder_.get(); }

  // Whether the path still leads to it.
  bool is_there() const {
    struct stat here{};
    struct stat there{};
    return ::fstat(fd(), &here) == 0 && ::stat(path_.c_str(), &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
  }

 private:
  std::string path_;
  bool made_;
  Descriptor folder_;
};

std::string marker_of(const std::string& run_id) {
  return run_folder(run_id) + "/run.json";
}

[[noreturn]] void gave_way(const Store& dest) {
  throw Error(ErrorCode::kExists,
              escape_path(dest.uri()) +
                  ": another run was writing there at the same time, and this one gave way to "
                  "it: what this one wrote is given up. When that one has ended, run again with "
                  "--resume or --overwrite, or choose another folder.");
}

std::string ending_of(const std::string& run_id) {
  return run_folder(run_id) + "/ending";
}

// Of runs that end at the same moment one goes on, as in Lamport's bakery: each says that it ends, then looks
// who else does. The later id gives way to an earlier one; the earlier one waits until the later has given
// way, or has ended because it looked first. One that died on the way is not waited for for long.
void settle_who_ends(const Store& dest, const std::string& own) {
  dest.write(ending_of(own), "");
  const auto patience = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    bool alone = true;
    for (const std::string& other : runs_below(dest)) {
      if (other == own || !dest.exists(ending_of(other))) continue;
      if (other < own) {
        dest.remove(ending_of(own));
        gave_way(dest);
      }
      alone = false;
    }
    if (!dest.exists(marker_of(own))) gave_way(dest);
    if (alone || std::chrono::steady_clock::now() > patience) return;
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace

std::shared_ptr<const void> hold_place(const Store& place) {
  if (!place.is_local()) return nullptr;
  // Whoever held it before us may take the empty folder away just when we have opened it.
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::error_code error;
    const bool made = std::filesystem::create_directories(place.uri(), error);
    if (error && error != std::errc::not_a_directory && error != std::errc::file_exists) {
      throw Error(system_error_code(error.value()),
                  "cannot make the folder " + escape_path(place.uri()) + ": " + system_reason(error.value()));
    }
    auto held = std::make_shared<const HeldFolder>(place.uri(), made);
    if (held->fd() < 0) return nullptr;  // whoever lists it will say what is wrong
    if (::flock(held->fd(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return nullptr;
      throw Error(ErrorCode::kExists,
                  "another run is writing to " + escape_path(place.uri()) +
                      ". Wait for its end, or choose another folder: nothing was touched.");
    }
    if (held->is_there()) return held;
  }
  return nullptr;
}

void require_running(const Store& dest, const std::string& run_id, const PartRecord* part) {
  if (dest.exists(marker_of(run_id))) return;
  if (part != nullptr) {
    // A run that went on with ours, while we were thought dead, gave its parts the same names.
    const std::string record = dest.exists(kRunRecord) ? dest.read(kRunRecord) : std::string();
    for (const std::string& name : {part->file, part->rejects_file}) {
      if (!name.empty() && record.find('"' + name + '"') == std::string::npos) dest.remove(name);
    }
    dest.remove(record_name(part->index, run_id));
  }
  gave_way(dest);
}

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
  // A run that was killed while it began or removed itself leaves empty folders and sums at most.
  for (const std::string& name : names) {
    if (is_side_file(name)) continue;
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
  // Who died while it ended is not to be waited for.
  if (!dest.is_local()) {
    for (const std::string& other : runs_below(dest)) dest.remove(ending_of(other));
  }
  nlohmann::json record = header;
  record[kFormatVersion] = kDatasetFormat;
  dest.write(marker_of(run_id), record.dump(2));
}

void finish_run(const Store& dest, nlohmann::json run, const std::vector<PartRecord>& parts) {
  // Of two runs at once only one may take the other's parts for left-overs: the one whose record stands after
  // it has removed all others.
  const std::string own = run.is_object() ? run.value("run_id", "") : std::string();
  if (is_run_id(own)) {
    if (!dest.exists(marker_of(own))) gave_way(dest);
    if (!dest.is_local()) settle_who_ends(dest, own);
    for (const std::string& other : runs_below(dest)) {
      if (other != own) dest.remove_folder(run_folder(other));
    }
    if (!dest.exists(marker_of(own))) gave_way(dest);
  }
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
  for (const std::string& name : dest.list("")) {
    if (name.ends_with(".tmp") && is_side_file(name)) dest.remove(name);
  }
  dest.remove_folder(kTemporary);
  dest.write(kSuccess, "");
}

void remove_dataset(const Store& dest) {
  if (dest.exists(kRunRecord)) {
    require_known_format(parse_json(dest.read(kRunRecord)), escape_path(dest.uri()));
  }
  dest.remove(kSuccess);
  remove_parts(dest, {});
  dest.remove_folder(kTemporary);
  for (const std::string& name : dest.list("")) {
    if (is_side_file(name)) dest.remove(name);
  }
  // Last, so that what is left of a removal that was interrupted is still known as ours.
  dest.remove(kRunRecord);
}

}  // namespace pomona
