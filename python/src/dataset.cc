// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/dataset.h"

#include <arrow/api.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <string>
#include <utility>

#include "arrow_column.h"
#include "bindings.h"
#include "place.h"
#include "pomona/base/error.h"
#include "pomona/storage/arrow_schema.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

// Row groups of a dataset, one at a time, as record batches. Errors of ours become Arrow's at its edge.
class DatasetStream : public arrow::RecordBatchReader {
 public:
  DatasetStream(DatasetReader reader, bool vectors)
      : reader_(std::move(reader)), vectors_(vectors), schema_(arrow_schema(reader_.schema(), vectors)) {}

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    try {
      batch->reset();
      while (part_ < reader_.parts().size()) {
        if (group_ < reader_.row_groups(part_)) {
          const Block block = reader_.read_row_group(part_, group_++, vectors_);
          if (block.rows.empty()) continue;
          return make(block, batch);
        }
        ++part_;
        group_ = 0;
      }
      return arrow::Status::OK();
    } catch (const Error& error) {
      return arrow::Status::IOError(error.what());
    }
  }

 private:
  arrow::Status make(const Block& block, std::shared_ptr<arrow::RecordBatch>* batch) const {
    const Schema& schema = reader_.schema();
    arrow::StringBuilder paths, labels, splits;
    arrow::Int32Builder widths, heights;
    arrow::FixedSizeBinaryBuilder hashes(arrow::fixed_size_binary(16));
    for (const RowInfo& row : block.rows) {
      ARROW_RETURN_NOT_OK(paths.Append(row.path));
      ARROW_RETURN_NOT_OK(row.label ? labels.Append(*row.label) : labels.AppendNull());
      ARROW_RETURN_NOT_OK(row.split ? splits.Append(*row.split) : splits.AppendNull());
      ARROW_RETURN_NOT_OK(widths.Append(row.width));
      ARROW_RETURN_NOT_OK(heights.Append(row.height));
      ARROW_RETURN_NOT_OK(hashes.Append(row.hash));
    }
    arrow::ArrayVector columns;
    const auto put = [&](arrow::ArrayBuilder& builder) {
      columns.emplace_back();
      return builder.Finish(&columns.back());
    };
    ARROW_RETURN_NOT_OK(put(paths));
    if (schema.labels) ARROW_RETURN_NOT_OK(put(labels));
    if (schema.splits) ARROW_RETURN_NOT_OK(put(splits));
    ARROW_RETURN_NOT_OK(put(widths));
    ARROW_RETURN_NOT_OK(put(heights));
    ARROW_RETURN_NOT_OK(put(hashes));
    const auto rows = static_cast<std::int64_t>(block.rows.size());
    if (vectors_) {
      arrow::FloatBuilder numbers;
      ARROW_RETURN_NOT_OK(numbers.AppendValues(block.vectors));
      std::shared_ptr<arrow::Array> values;
      ARROW_RETURN_NOT_OK(numbers.Finish(&values));
      columns.push_back(
          std::make_shared<arrow::FixedSizeListArray>(schema_->fields().back()->type(), rows, values));
    }
    *batch = arrow::RecordBatch::Make(schema_, rows, std::move(columns));
    return arrow::Status::OK();
  }

  DatasetReader reader_;
  bool vectors_;
  std::shared_ptr<arrow::Schema> schema_;
  std::size_t part_ = 0;
  std::size_t group_ = 0;
};

ArrowStream stream_of(const DatasetReader& reader, bool vectors) {
  return {[reader, vectors] { return std::make_shared<DatasetStream>(reader, vectors); }};
}

nb::object rejects_of(const DatasetReader& self) {
  nb::list rows;
  for (const RejectRow& row : self.rejects()) {
    nb::dict reject;
    reject["path"] = row.path;
    reject["stage"] = row.stage;
    reject["reason"] = row.reason;
    reject["bytes"] = row.bytes;
    rows.append(reject);
  }
  return rows;
}

}  // namespace

void bind_dataset(nb::module_& module) {
  nb::class_<DatasetReader>(module, "Dataset", "The engine of pomona.Dataset.")
      .def_static(
          "open", [](const Place& place) { return DatasetReader::open(Store::open(place.bytes)); },
          nb::arg("uri"), nb::call_guard<nb::gil_scoped_release>())
      .def("stream", &stream_of, nb::arg("vectors"))
      .def_prop_ro("rows", &DatasetReader::rows)
      .def_prop_ro("dimension", [](const DatasetReader& self) { return self.schema().d; })
      .def_prop_ro("vector_column", [](const DatasetReader& self) { return self.schema().vector_column; })
      .def_prop_ro("run", [](const DatasetReader& self) { return self.run().dump(); })
      .def_prop_ro("rejects", &rejects_of, nb::sig("def rejects(self) -> list[dict[str, typing.Any]]"));
}

}  // namespace pomona::python
