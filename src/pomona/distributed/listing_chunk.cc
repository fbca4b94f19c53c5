// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/listing_chunk.h"

#include <arrow/api.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>

#include <algorithm>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/storage/arrow_status_internal.h"

namespace pomona::distributed {
namespace {

// Entries of a row group: what a reader of one part holds at once, besides the part's own.
constexpr std::size_t kGroup = 16'384;

std::shared_ptr<arrow::Schema> chunk_schema() {
  return arrow::schema(
      {arrow::field("path", arrow::binary(), false), arrow::field("bytes", arrow::int64(), false),
       arrow::field("mtime_ns", arrow::int64(), false), arrow::field("directory", arrow::boolean(), false)});
}

[[noreturn]] void damaged(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::kFormat,
              "the listing " + name + " is damaged (" + why + "): run again with --resume");
}

}  // namespace

struct ListingChunkWriter::Impl {
  std::shared_ptr<arrow::io::OutputStream> stream;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
};

ListingChunkWriter::ListingChunkWriter(const Store& store, std::string name)
    : store_(store), name_(std::move(name)) {}

ListingChunkWriter::~ListingChunkWriter() {
  if (impl_) static_cast<void>(impl_->stream->Abort());
}

void ListingChunkWriter::add(const Entry& entry) {
  pending_.push_back(entry);
  ++count_;
  if (pending_.size() == kGroup) flush();
}

void ListingChunkWriter::flush() {
  if (pending_.empty()) return;
  const std::string what = "cannot write the listing " + name_;
  if (!impl_) {
    impl_ = std::make_unique<Impl>();
    impl_->stream = store_.create(name_);
    const auto properties =
        parquet::WriterProperties::Builder().compression(parquet::Compression::SNAPPY)->build();
    impl_->writer = take(parquet::arrow::FileWriter::Open(*chunk_schema(), arrow::default_memory_pool(),
                                                          impl_->stream, properties),
                         what);
  }
  arrow::BinaryBuilder paths;
  arrow::Int64Builder bytes;
  arrow::Int64Builder times;
  arrow::BooleanBuilder folders;
  for (const Entry& entry : pending_) {
    check(paths.Append(entry.path), what);
    check(bytes.Append(entry.bytes), what);
    check(times.Append(entry.mtime_ns), what);
    check(folders.Append(entry.directory), what);
  }
  const auto rows = static_cast<std::int64_t>(pending_.size());
  const auto table = arrow::Table::Make(chunk_schema(),
                                        {take(paths.Finish(), what), take(bytes.Finish(), what),
                                         take(times.Finish(), what), take(folders.Finish(), what)},
                                        rows);
  check(impl_->writer->WriteTable(*table, rows), what);
  pending_.clear();
}

void ListingChunkWriter::close() {
  flush();
  if (!impl_) return;
  const std::string what = "cannot write the listing " + name_;
  check(impl_->writer->Close(), what);
  check(impl_->stream->Close(), what);
  impl_.reset();
}

void read_listing_chunk(const Store& store, const std::string& name, std::uint64_t offset,
                        std::uint64_t count, const std::function<void(Entry&&)>& sink) {
  try {
    const std::string what = "cannot read the listing " + name;
    const auto reader =
        take(parquet::arrow::OpenFile(store.open_file(name), arrow::default_memory_pool()), what);
    const auto metadata = reader->parquet_reader()->metadata();
    std::uint64_t begin = 0;  // of the row group, in entries
    std::uint64_t given = 0;
    for (int group = 0; group < metadata->num_row_groups() && given < count; ++group) {
      const auto rows = static_cast<std::uint64_t>(metadata->RowGroup(group)->num_rows());
      const std::uint64_t group_begin = std::exchange(begin, begin + rows);
      if (begin <= offset) continue;
      const auto read = take(reader->ReadRowGroup(group), what);
      const auto table = take(read->CombineChunks(), what);
      if (!table->schema()->Equals(*chunk_schema(), false)) damaged(name, "other columns");
      for (int c = 0; c < table->num_columns(); ++c) {
        const auto& column = *table->column(c);
        if (column.num_chunks() != 1 || column.length() != table->num_rows() ||
            static_cast<std::uint64_t>(column.length()) != rows) {
          damaged(name, "fewer entries than it says");
        }
      }
      const auto& paths = static_cast<const arrow::BinaryArray&>(*table->column(0)->chunk(0));
      const auto& bytes = static_cast<const arrow::Int64Array&>(*table->column(1)->chunk(0));
      const auto& times = static_cast<const arrow::Int64Array&>(*table->column(2)->chunk(0));
      const auto& folders = static_cast<const arrow::BooleanArray&>(*table->column(3)->chunk(0));
      for (std::uint64_t i = offset > group_begin ? offset - group_begin : 0; i < rows && given < count;
           ++i) {
        const auto row = static_cast<std::int64_t>(i);
        Entry entry;
        entry.path = paths.GetString(row);
        entry.bytes = bytes.Value(row);
        entry.mtime_ns = times.Value(row);
        entry.directory = folders.Value(row);
        ++given;
        sink(std::move(entry));
      }
    }
    if (given != count) damaged(name, "it ends early");
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    damaged(name, error.what());
  }
}

}  // namespace pomona::distributed
