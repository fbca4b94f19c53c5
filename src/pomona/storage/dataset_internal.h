// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pomona/storage/dataset.h"

namespace arrow {
class Schema;
}

namespace pomona {

inline constexpr std::string_view kSuccess = "_SUCCESS";
inline constexpr std::string_view kRunRecord = "_run.json";
inline constexpr std::string_view kTemporary = "_temporary";
inline constexpr std::string_view kRejects = "_rejects";

std::string part_name(std::uint64_t index, const std::string& run_id, Format format);
std::string rejects_name(std::uint64_t index, const std::string& run_id);  // below DEST: "_rejects/part-..."
std::string record_name(std::uint64_t index, const std::string& run_id);   // below DEST: "_temporary/..."
std::string run_folder(const std::string& run_id);                         // "_temporary/<run id>"

// True for the name of a part of ours (no folder in it), whatever its run.
bool is_part_name(std::string_view name);

// 16 hex digits.
bool is_run_id(std::string_view text);

// One file of a dataset as it grows. close() ends it; without close() its destructor gives it up, and what it
// wrote is removed by the owner. Not thread-safe.
class BlockWriter {
 public:
  virtual ~BlockWriter() = default;
  virtual void write(const Block& block) = 0;  // Throws Error{kIo}.
  virtual void close() = 0;                    // Throws Error{kIo}.
};

std::unique_ptr<BlockWriter> make_parquet_writer(std::shared_ptr<arrow::io::OutputStream> stream,
                                                 const Schema& schema);
std::unique_ptr<BlockWriter> make_csv_writer(std::shared_ptr<arrow::io::OutputStream> stream,
                                             const Schema& schema);

// Writes rejected photos as one Parquet file. Throws Error{kIo}.
void write_rejects(std::shared_ptr<arrow::io::OutputStream> stream, const std::vector<RejectRow>& rows);

// One file of a dataset, open for reading. Thread-safe.
class BlockReader {
 public:
  virtual ~BlockReader() = default;
  virtual const Schema& schema() const = 0;
  virtual std::uint64_t rows() const = 0;
  // How many row groups the file has; a CSV file is one.
  virtual std::size_t row_groups() const { return 1; }
  virtual std::uint64_t most_group_rows() const { return rows(); }  // in one row group
  // As DatasetReader::read_part, of row groups [first, last). False where `sink` stopped.
  virtual bool read_groups(std::size_t first, std::size_t last, bool with_vectors,
                           const std::function<bool(Block&&)>& sink) const = 0;
  // As DatasetReader::read_part. False where `sink` stopped.
  bool read(bool with_vectors, const std::function<bool(Block&&)>& sink) const {
    return read_groups(0, row_groups(), with_vectors, sink);
  }
};

// As BlockReader::read, `threads` reading row groups side by side ahead of `sink`, which the calling thread
// runs. At most 256 MiB of vectors wait; where two row groups are more than that, nothing is read ahead.
bool read_side_by_side(const BlockReader& file, bool with_vectors, int threads,
                       const std::function<bool(Block&&)>& sink);

std::unique_ptr<BlockReader> open_parquet(const Store& store, const std::string& name);
std::unique_ptr<BlockReader> open_csv(const Store& store, const std::string& name);
std::vector<RejectRow> read_rejects(const Store& store, const std::string& name);

}  // namespace pomona
