// SPDX-License-Identifier: Apache-2.0
#include <arrow/array.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

// Row groups of other programs may hold everything: a block of theirs has at most this size.
constexpr std::int64_t kMostBytes = 64 << 20;
// What is decoded at once: it stays in the cache, and its memory is reused (a third of the time of a large
// step).
constexpr std::int64_t kStepBytes = 1 << 20;
constexpr std::int64_t kMostRows = std::int64_t{1} << 40;  // of a file

// Damaged files must end as an Error, whatever the Parquet library throws at them.
template <typename Step>
auto guarded(const std::string& what, Step step) {
  try {
    return step();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kFormat, what + ": it declares more than fits memory, so it is probably damaged");
  } catch (const parquet::ParquetStatusException& error) {
    // What the file system said, where it was that.
    if (error.status().detail() != nullptr) throw to_error(error.status(), what);
    throw Error(ErrorCode::kFormat, what + ": " + error.what());
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kFormat, what + ": " + error.what());
  }
}

template <typename T>
T take_format(arrow::Result<T> result, const std::string& what) {
  if (!result.ok()) {
    Error error = to_error(result.status(), what);
    const bool damaged = error.code() == ErrorCode::kIo && arrow::Status(result.status()).detail() == nullptr;
    throw damaged ? Error(ErrorCode::kFormat, error.what()) : error;
  }
  return std::move(result).ValueUnsafe();
}

bool is_float_list(const arrow::DataType& type) {
  if (type.id() != arrow::Type::LIST && type.id() != arrow::Type::LARGE_LIST &&
      type.id() != arrow::Type::FIXED_SIZE_LIST) {
    return false;
  }
  const arrow::Type::type element = type.field(0)->type()->id();
  return element == arrow::Type::FLOAT || element == arrow::Type::DOUBLE;
}

std::optional<std::string> text_at(const arrow::Array& array, std::int64_t i, const std::string& what) {
  if (array.IsNull(i)) return std::nullopt;
  switch (array.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return std::string(static_cast<const arrow::BinaryArray&>(array).GetView(i));
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return std::string(static_cast<const arrow::LargeBinaryArray&>(array).GetView(i));
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      // The Parquet library hands a file's numbers on as they stand.
      const std::int64_t index = dictionary.GetValueIndex(i);
      if (index < 0 || index >= dictionary.dictionary()->length()) {
        throw Error(ErrorCode::kFormat, what + ": a row points outside of its column's dictionary");
      }
      return text_at(*dictionary.dictionary(), index, what);
    }
    default:
      throw Error(ErrorCode::kFormat, what + ": a column of text holds " + array.type()->ToString());
  }
}

std::int64_t integer_at(const arrow::Array& array, std::int64_t i) {
  if (array.IsNull(i)) return 0;
  if (array.type_id() == arrow::Type::INT32) return static_cast<const arrow::Int32Array&>(array).Value(i);
  if (array.type_id() == arrow::Type::INT64) return static_cast<const arrow::Int64Array&>(array).Value(i);
  return 0;
}

// Where row i of a list column begins and how long it is, in its values.
std::pair<std::int64_t, std::int64_t> list_range(const arrow::Array& array, std::int64_t i) {
  if (array.type_id() == arrow::Type::FIXED_SIZE_LIST) {
    const auto& list = static_cast<const arrow::FixedSizeListArray&>(array);
    return {list.value_offset(i), list.value_length(i)};
  }
  if (array.type_id() == arrow::Type::LARGE_LIST) {
    const auto& list = static_cast<const arrow::LargeListArray&>(array);
    return {list.value_offset(i), list.value_length(i)};
  }
  const auto& list = static_cast<const arrow::ListArray&>(array);
  return {list.value_offset(i), list.value_length(i)};
}

const arrow::Array& list_values(const arrow::Array& array) {
  if (array.type_id() == arrow::Type::FIXED_SIZE_LIST) {
    return *static_cast<const arrow::FixedSizeListArray&>(array).values();
  }
  if (array.type_id() == arrow::Type::LARGE_LIST)
    return *static_cast<const arrow::LargeListArray&>(array).values();
  return *static_cast<const arrow::ListArray&>(array).values();
}

void append_vectors(const arrow::Array& array, int d, std::vector<float>& into, const std::string& what) {
  const arrow::Array& values = list_values(array);
  if (values.null_count() != 0 && array.null_count() == 0) {
    throw Error(ErrorCode::kFormat, what + ": a vector has a missing number");
  }
  const std::size_t before = into.size();
  into.resize(before + static_cast<std::size_t>(array.length()) * static_cast<std::size_t>(d));
  float* target = into.data() + before;
  for (std::int64_t i = 0; i < array.length(); ++i, target += d) {
    if (array.IsNull(i)) throw Error(ErrorCode::kFormat, what + ": a row has no vector");
    const auto [from, length] = list_range(array, i);
    if (length != d) {
      throw Error(ErrorCode::kFormat, what + ": vectors of " + std::to_string(d) + " and of " +
                                          std::to_string(length) + " numbers are mixed");
    }
    if (values.type_id() == arrow::Type::FLOAT) {
      std::memcpy(target, static_cast<const arrow::FloatArray&>(values).raw_values() + from,
                  static_cast<std::size_t>(d) * sizeof(float));
    } else {
      const double* source = static_cast<const arrow::DoubleArray&>(values).raw_values() + from;
      std::transform(source, source + d, target, [](double value) { return static_cast<float>(value); });
    }
  }
}

class ParquetReader final : public BlockReader {
 public:
  ParquetReader(const Store& store, const std::string& name)
      : what_("cannot read " + escape_path(join_shown(store, name))),
        remote_(!store.is_local()),
        file_(store.open_file(name)) {
    guarded(what_, [&] {
      metadata_ = parquet::ReadMetaData(file_);
      const auto reader = open();
      check(reader->GetSchema(&arrow_schema_), what_);
    });
    check_counts();
    find_columns();
  }

  const Schema& schema() const override { return schema_; }
  std::uint64_t rows() const override { return static_cast<std::uint64_t>(metadata_->num_rows()); }

  std::size_t row_groups() const override { return static_cast<std::size_t>(metadata_->num_row_groups()); }
  std::uint64_t most_group_rows() const override { return most_group_rows_; }

  bool read_groups(std::size_t first, std::size_t last, bool with_vectors,
                   const std::function<bool(Block&&)>& sink) const override {
    return guarded(what_, [&] {
      const auto reader = open();
      const std::vector<int> columns = leaves(with_vectors);
      const std::int64_t row_bytes = 4 * std::max<std::int64_t>(schema_.d, 64);
      for (int group = static_cast<int>(first); group < static_cast<int>(last); ++group) {
        const std::int64_t rows = metadata_->RowGroup(group)->num_rows();
        const std::int64_t most = std::max<std::int64_t>(1, std::min(rows, kMostBytes / row_bytes));
        reader->set_batch_size(with_vectors ? std::clamp<std::int64_t>(kStepBytes / row_bytes, 1, most)
                                            : most);
        const auto batches =
            take_format(reader->GetRecordBatchReader(std::vector<int>{group}, columns), what_);
        Block block;
        for (;;) {
          const auto batch = take_format(batches->Next(), what_);
          if (!batch) break;
          if (block.rows.empty()) reserve(block, most, with_vectors);
          append(*batch, with_vectors, block);
          if (static_cast<std::int64_t>(block.rows.size()) < most) continue;
          if (!sink(std::exchange(block, {}))) return false;
        }
        if (!block.rows.empty() && !sink(std::move(block))) return false;
      }
      return true;
    });
  }

 private:
  static std::string join_shown(const Store& store, const std::string& name) {
    return store.uri() + "/" + name;
  }

  // What callers make room for by the footer's word must not be nonsense.
  void check_counts() {
    std::int64_t left = metadata_->num_rows();
    bool sound = left >= 0 && left <= kMostRows;
    for (int group = 0; sound && group < metadata_->num_row_groups(); ++group) {
      const std::int64_t own = metadata_->RowGroup(group)->num_rows();
      sound = own >= 0 && own <= left;
      left -= own;
      most_group_rows_ = std::max(most_group_rows_, static_cast<std::uint64_t>(own));
    }
    if (!sound || left != 0) {
      throw Error(ErrorCode::kFormat, what_ + ": its footer contradicts itself about the number of rows");
    }
  }

  std::unique_ptr<parquet::arrow::FileReader> open() const {
    // Arrow's own pool keeps tens of megabytes per thread; one buffer per row group gains nothing from it.
    auto file = parquet::ParquetFileReader::Open(
        file_, parquet::ReaderProperties(arrow::system_memory_pool()), metadata_);
    parquet::ArrowReaderProperties properties(false);
    // The columns of a row group as one request, not as one each. A disk has nothing to gain from it.
    properties.set_pre_buffer(remote_);
    return take_format(
        parquet::arrow::FileReader::Make(arrow::system_memory_pool(), std::move(file), properties), what_);
  }

  void find_columns() {
    schema_.vector_column.clear();
    for (const auto& field : arrow_schema_->fields()) {
      if (field->name() == "label") schema_.labels = true;
      if (field->name() == "split") schema_.splits = true;
      if ((field->name() == "features" || field->name() == "components") && is_float_list(*field->type())) {
        schema_.vector_column = field->name();
        if (field->type()->id() == arrow::Type::FIXED_SIZE_LIST) {
          schema_.d = static_cast<const arrow::FixedSizeListType&>(*field->type()).list_size();
        }
      }
    }
    if (schema_.vector_column.empty()) {
      throw Error(ErrorCode::kFormat,
                  what_ + ": it has no column 'features' or 'components' that holds lists of floats");
    }
    if (schema_.d == 0 && rows() > 0) schema_.d = first_length();
  }

  // Lists of any length do not say theirs in the schema.
  int first_length() const {
    return guarded(what_, [&] {
      const auto reader = open();
      reader->set_batch_size(1);
      for (int group = 0; group < metadata_->num_row_groups(); ++group) {
        if (metadata_->RowGroup(group)->num_rows() == 0) continue;
        const auto batches =
            take_format(reader->GetRecordBatchReader(std::vector<int>{group}, leaves(true)), what_);
        const auto batch = take_format(batches->Next(), what_);
        const auto column = batch ? batch->GetColumnByName(schema_.vector_column) : nullptr;
        if (!column || column->length() == 0 || column->IsNull(0)) break;
        return static_cast<int>(list_range(*column, 0).second);
      }
      return 0;
    });
  }

  std::vector<int> leaves(bool with_vectors) const {
    std::set<std::string> wanted = {"path", "label", "split", "width", "height", "content_hash"};
    if (with_vectors) wanted.insert(schema_.vector_column);
    std::vector<int> columns;
    for (int i = 0; i < metadata_->num_columns(); ++i) {
      if (wanted.contains(metadata_->schema()->Column(i)->path()->ToDotVector().front()))
        columns.push_back(i);
    }
    return columns;
  }

  void reserve(Block& block, std::int64_t rows, bool with_vectors) const {
    block.rows.reserve(static_cast<std::size_t>(rows));
    if (with_vectors)
      block.vectors.reserve(static_cast<std::size_t>(rows) * static_cast<std::size_t>(schema_.d));
  }

  void append(const arrow::RecordBatch& batch, bool with_vectors, Block& block) const {
    const std::size_t before = block.rows.size();
    block.rows.resize(before + static_cast<std::size_t>(batch.num_rows()));
    const auto each = [&](const char* name, auto set) {
      const auto column = batch.GetColumnByName(name);
      if (!column) return;
      for (std::int64_t i = 0; i < batch.num_rows(); ++i)
        set(block.rows[before + static_cast<std::size_t>(i)], *column, i);
    };
    each("path", [&](RowInfo& row, const arrow::Array& column, std::int64_t i) {
      row.path = text_at(column, i, what_).value_or("");
    });
    each("label", [&](RowInfo& row, const arrow::Array& column, std::int64_t i) {
      row.label = text_at(column, i, what_);
    });
    each("split", [&](RowInfo& row, const arrow::Array& column, std::int64_t i) {
      row.split = text_at(column, i, what_);
    });
    each("width", [](RowInfo& row, const arrow::Array& column, std::int64_t i) {
      row.width = static_cast<std::int32_t>(integer_at(column, i));
    });
    each("height", [](RowInfo& row, const arrow::Array& column, std::int64_t i) {
      row.height = static_cast<std::int32_t>(integer_at(column, i));
    });
    each("content_hash", [](RowInfo& row, const arrow::Array& column, std::int64_t i) {
      if (column.IsNull(i)) return;
      std::string_view bytes;
      if (column.type_id() == arrow::Type::FIXED_SIZE_BINARY) {
        bytes = static_cast<const arrow::FixedSizeBinaryArray&>(column).GetView(i);
      } else if (column.type_id() == arrow::Type::BINARY) {
        bytes = static_cast<const arrow::BinaryArray&>(column).GetView(i);
      }
      if (bytes.size() == row.hash.size()) std::memcpy(row.hash.data(), bytes.data(), bytes.size());
    });
    if (with_vectors) {
      const auto column = batch.GetColumnByName(schema_.vector_column);
      if (!column) throw Error(ErrorCode::kFormat, what_ + ": its column of vectors is missing");
      append_vectors(*column, schema_.d, block.vectors, what_);
    }
  }

  std::string what_;
  bool remote_;
  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  std::shared_ptr<arrow::Schema> arrow_schema_;
  std::uint64_t most_group_rows_ = 0;
  Schema schema_;
};

}  // namespace

std::unique_ptr<BlockReader> open_parquet(const Store& store, const std::string& name) {
  return std::make_unique<ParquetReader>(store, name);
}

std::vector<RejectRow> read_rejects(const Store& store, const std::string& name) {
  const std::string what = "cannot read " + escape_path(store.uri() + "/" + name);
  return guarded(what, [&] {
    const auto reader =
        take_format(parquet::arrow::FileReader::Make(arrow::system_memory_pool(),
                                                     parquet::ParquetFileReader::Open(store.open_file(name))),
                    what);
    const auto batches = take_format(reader->GetRecordBatchReader(), what);
    std::vector<RejectRow> rows;
    for (;;) {
      const auto batch = take_format(batches->Next(), what);
      if (!batch) return rows;
      const auto column = [&](const char* column_name) {
        auto array = batch->GetColumnByName(column_name);
        if (!array) throw Error(ErrorCode::kFormat, what + ": it has no column '" + column_name + "'");
        return array;
      };
      const auto path = column("path");
      const auto stage = column("stage");
      const auto reason = column("reason");
      const auto bytes = column("bytes");
      const auto raw = column("path_bytes");
      for (std::int64_t i = 0; i < batch->num_rows(); ++i) {
        rows.push_back({text_at(*path, i, what).value_or(""), text_at(*raw, i, what).value_or(""),
                        text_at(*stage, i, what).value_or(""), text_at(*reason, i, what).value_or(""),
                        integer_at(*bytes, i)});
      }
    }
  });
}

}  // namespace pomona
