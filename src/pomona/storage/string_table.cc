// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/string_table.h"

#include <arrow/api.h>
#include <arrow/csv/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>

#include <cmath>
#include <memory>
#include <string_view>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

[[noreturn]] void malformed(const std::string& uri, const std::string& why) {
  throw Error(ErrorCode::kFormat, "cannot read the table " + uri + ": " + why);
}

template <typename T>
T value_of(arrow::Result<T>&& result, const std::string& uri) {
  if (!result.ok()) malformed(uri, result.status().message());
  return std::move(result).ValueUnsafe();
}

// Every column as text: a label "007" must not become the number 7.
std::shared_ptr<arrow::Table> read_csv(const std::shared_ptr<arrow::Buffer>& bytes, const std::string& uri) {
  const auto end_of_header = std::string_view(*bytes).find('\n');
  const auto head = std::make_shared<arrow::io::BufferReader>(arrow::SliceBuffer(
      bytes, 0,
      end_of_header == std::string_view::npos ? bytes->size()
                                              : static_cast<std::int64_t>(end_of_header) + 1));
  const auto context = arrow::io::default_io_context();
  auto parse = arrow::csv::ParseOptions::Defaults();
  parse.newlines_in_values = true;
  auto convert = arrow::csv::ConvertOptions::Defaults();
  convert.strings_can_be_null = true;
  convert.null_values = {""};
  auto read = arrow::csv::ReadOptions::Defaults();
  read.use_threads = false;
  const auto names =
      value_of(value_of(arrow::csv::TableReader::Make(context, head, read, parse, convert), uri)->Read(), uri)
          ->schema();
  for (const std::string& name : names->field_names()) convert.column_types[name] = arrow::utf8();
  const auto whole = std::make_shared<arrow::io::BufferReader>(bytes);
  return value_of(value_of(arrow::csv::TableReader::Make(context, whole, read, parse, convert), uri)->Read(),
                  uri);
}

std::shared_ptr<arrow::Table> read_parquet(const std::shared_ptr<arrow::Buffer>& bytes,
                                           const std::string& uri) {
  auto reader = value_of(parquet::arrow::OpenFile(std::make_shared<arrow::io::BufferReader>(bytes),
                                                  arrow::default_memory_pool()),
                         uri);
  auto table = value_of(reader->ReadTable(), uri);
  // The Parquet library hands a file's numbers on as they stand: indices into dictionaries, for one.
  if (const auto status = table->ValidateFull(); !status.ok()) malformed(uri, status.message());
  return table;
}

std::optional<std::string> text_of(const arrow::Array& array, std::int64_t row, const std::string& uri,
                                   const std::string& column) {
  if (array.IsNull(row)) return std::nullopt;
  const auto scalar = value_of(array.GetScalar(row), uri);
  if (scalar->type->id() == arrow::Type::DICTIONARY) {
    const auto decoded =
        value_of(static_cast<const arrow::DictionaryScalar&>(*scalar).GetEncodedValue(), uri);
    return decoded->is_valid ? std::optional(decoded->ToString()) : std::nullopt;
  }
  const auto not_a_number = [&](double value) {
    if (std::isfinite(value)) return;
    malformed(uri, "column '" + column + "' holds " + scalar->ToString() + " in row " +
                       std::to_string(row + 1) + "; a label cannot be that");
  };
  if (scalar->type->id() == arrow::Type::DOUBLE)
    not_a_number(static_cast<const arrow::DoubleScalar&>(*scalar).value);
  if (scalar->type->id() == arrow::Type::FLOAT)
    not_a_number(static_cast<const arrow::FloatScalar&>(*scalar).value);
  std::string text = scalar->ToString();
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace

StringTable read_string_table(const std::string& uri) {
  const FilePlace place = file_place(uri);
  std::string bytes = Store::open(place.folder).read(place.name);
  if (bytes.empty()) malformed(uri, "it is empty");

  StringTable result;
  result.sha256 = sha256_hex(bytes);
  std::shared_ptr<arrow::Table> table;
  try {
    const bool is_parquet = bytes.starts_with("PAR1");
    const auto buffer = arrow::Buffer::FromString(std::move(bytes));
    table = is_parquet ? read_parquet(buffer, uri) : read_csv(buffer, uri);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    malformed(uri, error.what());
  }
  for (int c = 0; c < table->num_columns(); ++c) {
    const std::string name = table->schema()->field(c)->name();
    auto& column = result.columns.emplace_back();
    result.names.push_back(name);
    for (const auto& chunk : table->column(c)->chunks()) {
      for (std::int64_t row = 0; row < chunk->length(); ++row)
        column.push_back(text_of(*chunk, row, uri, name));
    }
  }
  return result;
}

}  // namespace pomona
