// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/storage/store.h"

namespace pomona {

class BlockReader;

enum class Format : std::uint8_t { kParquet, kCsv };
Format parse_format(std::string_view name);  // Throws Error{kUsage}.
std::string_view to_string(Format format);

// One row's columns besides its vector.
struct RowInfo {
  std::string path;  // UTF-8 (escape_path)
  std::optional<std::string> label;
  std::optional<std::string> split;  // Training | Validation | Test
  std::int32_t width = 0;            // pixels, full size, after orientation
  std::int32_t height = 0;
  ContentHash hash{};
};

// A photo that did not become a row.
struct RejectRow {
  std::string path;        // UTF-8 (escape_path)
  std::string path_bytes;  // raw bytes; empty where path is the raw path
  std::string stage;
  std::string reason;
  std::int64_t bytes = 0;
};

// Rows that stand together: one row group. `vectors` is rows.size() x d, row-major.
struct Block {
  std::vector<RowInfo> rows;
  std::vector<float> vectors;
  std::vector<RejectRow> rejects;
};

// How a dataset's columns look.
struct Schema {
  std::string vector_column = "features";  // or "components"
  int d = 0;
  bool labels = false;  // has a label column
  bool splits = false;  // has a split column
  Format format = Format::kParquet;
  // CSV only: the vector as one quoted column "[0.1,0.2,...]" named `vector_column`, instead of f0,f1,...
  bool csv_packed = false;
};

// One published part, as recorded in `_run.json`.
struct PartRecord {
  std::string file;          // name below DEST; empty where every photo of the part was rejected
  std::string rejects_file;  // name below DEST; empty where there are none
  std::uint64_t index = 0;   // position in the dataset
  std::uint64_t rows = 0;
  std::uint64_t rejected = 0;
  std::uint64_t bytes = 0;
  std::string sha256;    // of the part's file
  nlohmann::json extra;  // the caller's (listing digest, block sizes)
};

// The layout of a dataset on storage, as described in docs/dataset.md: `format_version` in `_run.json` and in
// the record of an unfinished run. Where it is missing it is 1. It grows when an older program would read it
// wrongly.
inline constexpr int kDatasetFormat = 1;

// Throws Error{kFormat} where `record`, which stands at `shown`, says that a newer Pomona wrote it. Anything
// else passes, also what is no record.
void require_known_format(const nlohmann::json& record, std::string_view shown);

// Which rows a dataset holds, by its `_run.json`: equal for the same parts in the same order. Empty where the
// record does not say. What is made from a dataset records it, to be known as older once the rows are others.
std::string rows_digest(const nlohmann::json& run);

nlohmann::json to_json(const PartRecord& record);
PartRecord part_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

// Writes one part: blocks become row groups. The file grows under `_temporary/<run id>/` and is moved to its
// place by finish(). Not thread-safe.
class PartWriter {
 public:
  // Part file: part-<index, 5 digits>-<file id>.snappy.parquet or .csv. `file_id`, made as a run id is, keeps
  // a part that the same run left there earlier; "" = the run id.
  PartWriter(const Store& dest, const Schema& schema, const std::string& run_id, std::uint64_t index,
             const std::string& file_id = "");
  ~PartWriter();  // unfinished: removes what it wrote
  PartWriter(PartWriter&&) noexcept;

  void write(const Block& block);  // Throws Error{kIo}: disk full, store dead.
  // Publishes the part and its rejects, then its record as `_temporary/<run id>/part-<index>.json`.
  PartRecord finish(nlohmann::json extra);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Publishes a part that a PartWriter finished elsewhere: in the dataset's own folder `staged`, the writer's
// `dest`, under the same run id. Moves its files to their places in `dest` and writes its record; doing so
// again does no harm. Throws Error{kIo | kNotFound}.
void publish_staged(const Store& dest, const std::string& staged, const std::string& run_id,
                    const PartRecord& record);

// What stands at DEST.
enum class DatasetState : std::uint8_t { kAbsent, kUnfinished, kFinished, kForeign };

// kForeign: there are files, but none of ours.
DatasetState dataset_state(const Store& dest);

// The records of parts that an unfinished run published, in order of index; parts whose file is missing, of
// another size or unreadable are left out.
struct UnfinishedRun {
  std::string run_id;
  nlohmann::json header;  // as given to begin_run()
  std::vector<PartRecord> parts;
};
// Of several runs, the one with the most photos. Throws Error{kIo | kPermission} where the store does not
// answer.
std::optional<UnfinishedRun> find_unfinished(const Store& dest);

// Takes `_SUCCESS` away, for parts of the run appear beside those that are there, and records that a run
// begins: `_temporary/<run id>/run.json` with `header` (options, fingerprint, schema).
void begin_run(const Store& dest, const std::string& run_id, const nlohmann::json& header);

// Ends a dataset: writes `_run.json` (with `parts` added under "parts"), then removes files that no record
// names, `_temporary`, and last writes `_SUCCESS`. Where `run` has a "run_id", other runs at `dest` end here,
// or this one, if another was quicker: Error{kExists}.
void finish_run(const Store& dest, nlohmann::json run, const std::vector<PartRecord>& parts);

// Removes everything a dataset consists of, and nothing else; `_SUCCESS` goes first. Throws Error{kFormat}
// where a newer Pomona made it: what it consists of is not known here.
void remove_dataset(const Store& dest);

// A new run id: 16 hex digits.
std::string new_run_id();

// Reads a dataset, finished or not (`require_success`), part by part. Also reads plain Parquet folders
// with a fixed_size_list or list column of floats named features or components. Thread-safe once open.
class DatasetReader {
 public:
  // Throws Error{kNotFound | kFormat}.
  static DatasetReader open(const Store& dest, bool require_success = true);

  // The given parts of a dataset, finished or not, and no others.
  static DatasetReader open_parts(const Store& dest, const Schema& schema, std::vector<PartRecord> parts);

  const Schema& schema() const;
  const nlohmann::json& run() const;  // `_run.json`; null where there is none
  const std::vector<PartRecord>& parts() const;
  std::uint64_t rows() const;

  // Calls `sink` for every row group of part `index` (in pieces of 64 MiB, where it is larger), in order and
  // on the calling thread; false stops. `with_vectors` off skips them. `threads` read ahead side by side.
  void read_part(std::size_t index, bool with_vectors, const std::function<bool(Block&&)>& sink,
                 int threads = 1) const;
  // How many row groups part `index` has, and one of them (CSV parts are one row group).
  std::size_t row_groups(std::size_t index) const;
  Block read_row_group(std::size_t index, std::size_t group, bool with_vectors) const;
  // All parts, in order.
  void read(bool with_vectors, const std::function<bool(Block&&)>& sink) const;
  std::vector<RejectRow> rejects() const;

 private:
  DatasetReader() = default;
  std::shared_ptr<const BlockReader> open_part(std::size_t index) const;  // null where the part has no file

  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace pomona
