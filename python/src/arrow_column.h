// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pomona/pipeline/featurize_batch.h"

namespace arrow {
class Array;
class DataType;
class RecordBatchReader;
}  // namespace arrow

namespace pomona::python {

// An Arrow array on its way to Python; pyarrow, polars and others take it by the PyCapsule interface.
struct ArrowColumn {
  std::shared_ptr<arrow::Array> array;
};

// A stream of record batches on its way to Python. It can be taken as often as `open` makes a new one.
struct ArrowStream {
  std::function<std::shared_ptr<arrow::RecordBatchReader>()> open;
};

// The chunks of whatever gives __arrow_c_array__ or __arrow_c_stream__, without copying. Of a record batch or
// table with one column that column. Throws TypeError, ValueError.
std::vector<std::shared_ptr<arrow::Array>> import_column(nanobind::handle column);

// Chunks of one column of photos: binary (encoded photos), string (paths or URIs) or Spark's image struct.
class ArrowPhotos {
 public:
  // Throws ValueError that names the type where it is none of these.
  explicit ArrowPhotos(std::vector<std::shared_ptr<arrow::Array>> chunks);

  std::span<const PhotoSource> sources() const { return sources_; }
  // Rows that are null or malformed: (row, why). Their source is an empty photo.
  const std::vector<std::pair<std::size_t, std::string>>& unusable() const { return unusable_; }

 private:
  std::vector<std::shared_ptr<arrow::Array>> chunks_;
  std::vector<PhotoSource> sources_;
  std::vector<std::pair<std::size_t, std::string>> unusable_;
};

// list<float> or fixed_size_list<float>[d] over `values` (rows x d, taken over); `valid` one byte a row.
std::shared_ptr<arrow::Array> vector_column(std::vector<float>&& values, std::size_t d,
                                            const std::vector<std::uint8_t>& valid, bool fixed_size);

}  // namespace pomona::python
