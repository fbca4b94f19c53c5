// SPDX-License-Identifier: Apache-2.0
#include <arrow/array.h>
#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/buffer.h>
#include <arrow/memory_pool.h>
#include <arrow/type.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include "pomona/storage/arrow_schema.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

constexpr const char* kWhat = "cannot encode a part";

// Vectors have next to no repeated values: a dictionary or least and greatest values would only cost time.
std::shared_ptr<parquet::WriterProperties> file_properties(const std::string& vector_column) {
  parquet::WriterProperties::Builder builder;
  builder.memory_pool(arrow::system_memory_pool());
  builder.compression(parquet::Compression::SNAPPY)->version(parquet::ParquetVersion::PARQUET_2_6);
  builder.disable_dictionary()->max_row_group_length(INT64_MAX);
  builder.enable_dictionary("label")
      ->enable_dictionary("split")
      ->enable_dictionary("stage")
      ->enable_dictionary("reason");
  if (!vector_column.empty()) builder.disable_statistics(vector_column + ".list.element");
  builder.disable_statistics("content_hash");
  return builder.build();
}

std::shared_ptr<parquet::ArrowWriterProperties> arrow_properties() {
  parquet::ArrowWriterProperties::Builder builder;
  return builder.store_schema()->set_use_threads(false)->build();
}

template <typename Builder>
std::shared_ptr<arrow::Array> finish(Builder& builder) {
  return take(builder.Finish(), kWhat);
}

template <typename Row, typename Get>
std::shared_ptr<arrow::Array> strings(const std::vector<Row>& rows, Get get) {
  arrow::StringBuilder builder;
  check(builder.Reserve(static_cast<std::int64_t>(rows.size())), kWhat);
  for (const Row& row : rows) check(builder.Append(get(row)), kWhat);
  return finish(builder);
}

template <typename Get>
std::shared_ptr<arrow::Array> optional_strings(const std::vector<RowInfo>& rows, Get get) {
  arrow::StringBuilder builder;
  for (const RowInfo& row : rows) {
    const std::optional<std::string>& value = get(row);
    check(value ? builder.Append(*value) : builder.AppendNull(), kWhat);
  }
  return finish(builder);
}

template <typename Get>
std::shared_ptr<arrow::Array> integers(const std::vector<RowInfo>& rows, Get get) {
  arrow::Int32Builder builder;
  check(builder.Reserve(static_cast<std::int64_t>(rows.size())), kWhat);
  for (const RowInfo& row : rows) builder.UnsafeAppend(get(row));
  return finish(builder);
}

class ParquetWriter final : public BlockWriter {
 public:
  ParquetWriter(std::shared_ptr<arrow::io::OutputStream> stream, const Schema& schema)
      : schema_(schema), arrow_schema_(arrow_schema(schema)), stream_(std::move(stream)) {
    writer_ =
        take(parquet::arrow::FileWriter::Open(*arrow_schema_, arrow::system_memory_pool(), stream_,
                                              file_properties(schema.vector_column), arrow_properties()),
             kWhat);
  }

  void write(const Block& block) override {
    const auto rows = static_cast<std::int64_t>(block.rows.size());
    if (rows == 0) return;
    check(writer_->NewRowGroup(), "cannot write");
    add(strings(block.rows, [](const RowInfo& row) -> const std::string& { return row.path; }));
    if (schema_.labels) {
      add(optional_strings(block.rows, [](const RowInfo& row) -> const auto& { return row.label; }));
    }
    if (schema_.splits) {
      add(optional_strings(block.rows, [](const RowInfo& row) -> const auto& { return row.split; }));
    }
    add(integers(block.rows, [](const RowInfo& row) { return row.width; }));
    add(integers(block.rows, [](const RowInfo& row) { return row.height; }));
    arrow::FixedSizeBinaryBuilder hashes(arrow::fixed_size_binary(16));
    for (const RowInfo& row : block.rows) check(hashes.Append(row.hash.data()), kWhat);
    add(finish(hashes));
    // The block outlives the call, so its floats need no copy.
    const auto floats = std::make_shared<arrow::FloatArray>(static_cast<std::int64_t>(block.vectors.size()),
                                                            arrow::Buffer::Wrap(block.vectors));
    add(std::make_shared<arrow::FixedSizeListArray>(arrow_schema_->fields().back()->type(), rows, floats));
  }

  void close() override {
    check(writer_->Close(), "cannot write");
    check(stream_->Close(), "cannot write");
  }

 private:
  void add(const std::shared_ptr<arrow::Array>& column) {
    check(writer_->WriteColumnChunk(*column), "cannot write");
  }

  Schema schema_;
  std::shared_ptr<arrow::Schema> arrow_schema_;
  std::shared_ptr<arrow::io::OutputStream> stream_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace

std::shared_ptr<arrow::Schema> arrow_schema(const Schema& schema, bool vectors) {
  arrow::FieldVector fields = {arrow::field("path", arrow::utf8(), false)};
  if (schema.labels) fields.push_back(arrow::field("label", arrow::utf8()));
  if (schema.splits) fields.push_back(arrow::field("split", arrow::utf8()));
  fields.push_back(arrow::field("width", arrow::int32(), false));
  fields.push_back(arrow::field("height", arrow::int32(), false));
  fields.push_back(arrow::field("content_hash", arrow::fixed_size_binary(16), false));
  if (vectors) {
    const auto item = arrow::field("element", arrow::float32(), false);
    fields.push_back(arrow::field(schema.vector_column, arrow::fixed_size_list(item, schema.d), false));
  }
  return arrow::schema(std::move(fields));
}

std::unique_ptr<BlockWriter> make_parquet_writer(std::shared_ptr<arrow::io::OutputStream> stream,
                                                 const Schema& schema) {
  return std::make_unique<ParquetWriter>(std::move(stream), schema);
}

void write_rejects(std::shared_ptr<arrow::io::OutputStream> stream, const std::vector<RejectRow>& rows) {
  const auto schema = arrow::schema(
      {arrow::field("path", arrow::utf8(), false), arrow::field("stage", arrow::utf8(), false),
       arrow::field("reason", arrow::utf8(), false), arrow::field("bytes", arrow::int64(), false),
       arrow::field("path_bytes", arrow::binary())});
  const auto writer = take(parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(), stream,
                                                            file_properties(""), arrow_properties()),
                           kWhat);
  arrow::Int64Builder sizes;
  arrow::BinaryBuilder raw;
  for (const RejectRow& row : rows) {
    check(sizes.Append(row.bytes), kWhat);
    check(row.path_bytes.empty() ? raw.AppendNull() : raw.Append(row.path_bytes), kWhat);
  }
  const std::vector<std::shared_ptr<arrow::Array>> columns = {
      strings(rows, [](const RejectRow& row) -> const std::string& { return row.path; }),
      strings(rows, [](const RejectRow& row) -> const std::string& { return row.stage; }),
      strings(rows, [](const RejectRow& row) -> const std::string& { return row.reason; }), finish(sizes),
      finish(raw)};
  check(writer->NewRowGroup(), "cannot write");
  for (const auto& column : columns) check(writer->WriteColumnChunk(*column), "cannot write");
  check(writer->Close(), "cannot write");
  check(stream->Close(), "cannot write");
}

}  // namespace pomona
