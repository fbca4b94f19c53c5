// SPDX-License-Identifier: Apache-2.0
#include "arrow_column.h"

#include <arrow/api.h>
#include <arrow/c/bridge.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "bindings.h"
#include "photos.h"
#include "pomona/storage/arrow_status_internal.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

// The C struct in a capsule; a null pointer where the object is no such capsule.
template <typename T>
T* in_capsule(nb::handle capsule, const char* name) {
  auto* found = static_cast<T*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (found == nullptr) throw nb::python_error();
  return found;
}

template <typename T, const char* const& kName>
nb::object to_capsule(std::unique_ptr<T> held) {
  // A consumer marks what it took by a null `release`; what was not taken is released with the capsule.
  PyObject* capsule = PyCapsule_New(held.get(), kName, [](PyObject* object) {
    const std::unique_ptr<T> owned(static_cast<T*>(PyCapsule_GetPointer(object, kName)));
    if (owned->release != nullptr) owned->release(owned.get());
  });
  if (capsule == nullptr) {
    held->release(held.get());
    throw nb::python_error();
  }
  held.release();
  return nb::steal(capsule);
}

constexpr const char* kSchemaCapsule = "arrow_schema";
constexpr const char* kArrayCapsule = "arrow_array";
constexpr const char* kStreamCapsule = "arrow_array_stream";

std::shared_ptr<arrow::ChunkedArray> import_stream(nb::handle column) {
  const nb::object capsule = column.attr("__arrow_c_stream__")();
  auto* stream = in_capsule<ArrowArrayStream>(capsule, kStreamCapsule);
  const nb::gil_scoped_release release;  // the producer may compute
  return take(arrow::ImportChunkedArray(stream), "cannot take the Arrow stream");
}

std::shared_ptr<arrow::Array> import_array(nb::handle column) {
  const nb::object pair = column.attr("__arrow_c_array__")();
  auto* schema = in_capsule<ArrowSchema>(pair[0], kSchemaCapsule);
  auto* array = in_capsule<ArrowArray>(pair[1], kArrayCapsule);
  return take(arrow::ImportArray(array, schema), "cannot take the Arrow array");
}

bool is_image_struct(const arrow::DataType& type) {
  if (type.id() != arrow::Type::STRUCT) return false;
  const auto& fields = static_cast<const arrow::StructType&>(type);
  for (const char* name : {"height", "width", "nChannels", "data"}) {
    if (fields.GetFieldIndex(name) < 0) return false;
  }
  return true;
}

class PhotoTaker {
 public:
  PhotoTaker(std::vector<PhotoSource>& sources, std::vector<std::pair<std::size_t, std::string>>& unusable)
      : sources_(sources), unusable_(unusable) {}

  void take_chunk(const arrow::Array& chunk) {
    switch (chunk.type_id()) {
      case arrow::Type::BINARY:
        return take_bytes(static_cast<const arrow::BinaryArray&>(chunk));
      case arrow::Type::LARGE_BINARY:
        return take_bytes(static_cast<const arrow::LargeBinaryArray&>(chunk));
      case arrow::Type::BINARY_VIEW:
        return take_bytes(static_cast<const arrow::BinaryViewArray&>(chunk));
      case arrow::Type::STRING:
        return take_places(static_cast<const arrow::StringArray&>(chunk));
      case arrow::Type::LARGE_STRING:
        return take_places(static_cast<const arrow::LargeStringArray&>(chunk));
      case arrow::Type::STRING_VIEW:
        return take_places(static_cast<const arrow::StringViewArray&>(chunk));
      case arrow::Type::NA:
        for (std::int64_t i = 0; i < chunk.length(); ++i) refuse("the photo is null");
        return;
      default:
        if (is_image_struct(*chunk.type())) return take_images(static_cast<const arrow::StructArray&>(chunk));
        throw nb::value_error(
            ("a column of type " + chunk.type()->ToString() +
             " holds no photos: binary (encoded photos), string (paths or URIs) and Spark's "
             "image struct (height, width, nChannels, data) can be read")
                .c_str());
    }
  }

 private:
  void refuse(std::string why) {
    unusable_.emplace_back(sources_.size(), std::move(why));
    sources_.emplace_back(std::span<const std::byte>());
  }

  template <typename Column>
  void take_bytes(const Column& column) {
    for (std::int64_t i = 0; i < column.length(); ++i) {
      if (column.IsNull(i)) {
        refuse("the photo is null");
      } else {
        sources_.emplace_back(std::as_bytes(std::span(column.GetView(i))));
      }
    }
  }

  template <typename Column>
  void take_places(const Column& column) {
    for (std::int64_t i = 0; i < column.length(); ++i) {
      if (column.IsNull(i)) {
        refuse("the path is null");
      } else {
        sources_.emplace_back(location(std::string(column.GetView(i))));
      }
    }
  }

  // Spark's image schema: origin, height, width, nChannels, mode, data; data is BGR or BGRA, rows from the
  // top.
  void take_images(const arrow::StructArray& images) {
    const auto integers = [&](const char* name) {
      const auto field = images.GetFieldByName(name);
      if (field->type_id() != arrow::Type::INT32)
        throw nb::value_error(("the image struct's field " + std::string(name) + " is " +
                               field->type()->ToString() + ", not int32")
                                  .c_str());
      return std::static_pointer_cast<arrow::Int32Array>(field);
    };
    const auto heights = integers("height");
    const auto widths = integers("width");
    const auto channels = integers("nChannels");
    const auto data = images.GetFieldByName("data");
    const auto small = std::dynamic_pointer_cast<arrow::BinaryArray>(data);
    const auto large = std::dynamic_pointer_cast<arrow::LargeBinaryArray>(data);
    if (!small && !large) {
      throw nb::value_error(
          ("the image struct's field data is " + data->type()->ToString() + ", not binary").c_str());
    }
    for (std::int64_t i = 0; i < images.length(); ++i) {
      if (images.IsNull(i) || data->IsNull(i) || heights->IsNull(i) || widths->IsNull(i) ||
          channels->IsNull(i)) {
        refuse("the image is null");
        continue;
      }
      const std::string_view bytes = small ? small->GetView(i) : large->GetView(i);
      RawPixels raw;
      raw.height = heights->Value(i);
      raw.width = widths->Value(i);
      raw.channels = channels->Value(i);
      raw.bgr = true;
      raw.pixels = reinterpret_cast<const std::uint8_t*>(bytes.data());
      if (raw.height < 1 || raw.width < 1 || raw.channels < 1 || raw.channels > 4) {
        refuse("the image is " + std::to_string(raw.width) + " x " + std::to_string(raw.height) +
               " pixels of " + std::to_string(raw.channels) +
               " channels (Spark writes -1 where it could not read one)");
        continue;
      }
      raw.row_bytes = static_cast<std::size_t>(raw.width) * static_cast<std::size_t>(raw.channels);
      // Divided, not multiplied: three int32 of someone else's overflow 64 bits.
      if (bytes.size() % static_cast<std::size_t>(raw.height) != 0 ||
          bytes.size() / static_cast<std::size_t>(raw.height) != raw.row_bytes) {
        refuse("the image has " + std::to_string(bytes.size()) + " bytes, not " + std::to_string(raw.width) +
               " x " + std::to_string(raw.height) + " x " + std::to_string(raw.channels));
        continue;
      }
      sources_.emplace_back(raw);
    }
  }

  std::vector<PhotoSource>& sources_;
  std::vector<std::pair<std::size_t, std::string>>& unusable_;
};

}  // namespace

std::vector<std::shared_ptr<arrow::Array>> import_column(nb::handle column) {
  arrow::ArrayVector chunks;
  std::shared_ptr<arrow::DataType> type;
  if (nb::hasattr(column, "__arrow_c_array__")) {
    chunks = {import_array(column)};
    type = chunks.front()->type();
  } else if (nb::hasattr(column, "__arrow_c_stream__")) {
    const auto chunked = import_stream(column);
    chunks = chunked->chunks();
    type = chunked->type();
  } else {
    throw nb::type_error(
        "an Arrow column is needed: an object with __arrow_c_array__ or __arrow_c_stream__, as "
        "pyarrow, polars, nanoarrow and DuckDB give");
  }
  if (type->id() == arrow::Type::STRUCT && type->num_fields() == 1) {
    // A row that is null as a whole is null, whatever lies below.
    for (auto& chunk : chunks) {
      chunk =
          take(static_cast<const arrow::StructArray&>(*chunk).GetFlattenedField(0), "no memory for a column");
    }
  }
  return chunks;
}

ArrowPhotos::ArrowPhotos(std::vector<std::shared_ptr<arrow::Array>> chunks) : chunks_(std::move(chunks)) {
  PhotoTaker taker(sources_, unusable_);
  for (const auto& chunk : chunks_) taker.take_chunk(*chunk);
}

std::shared_ptr<arrow::Array> vector_column(std::vector<float>&& values, std::size_t d,
                                            const std::vector<std::uint8_t>& valid, bool fixed_size) {
  const auto rows = static_cast<std::int64_t>(valid.size());
  const auto count = static_cast<std::int64_t>(values.size());
  const auto numbers =
      std::make_shared<arrow::FloatArray>(count, arrow::Buffer::FromVector(std::move(values)));
  arrow::TypedBufferBuilder<bool> bits;
  check(bits.Reserve(rows), "no memory for a column");
  for (const std::uint8_t good : valid) bits.UnsafeAppend(good != 0);
  const std::int64_t nulls = bits.false_count();
  const auto bitmap = take(bits.Finish(), "no memory for a column");
  const auto item = arrow::field("element", arrow::float32());
  if (fixed_size) {
    return std::make_shared<arrow::FixedSizeListArray>(
        arrow::fixed_size_list(item, static_cast<std::int32_t>(d)), rows, numbers, bitmap, nulls);
  }
  if (numbers->length() > std::numeric_limits<std::int32_t>::max()) {
    throw nb::value_error(
        "these photos' vectors do not fit one Arrow list column (2^31 numbers): give fewer at a "
        "time, or ask for fixed_size_list");
  }
  std::vector<std::int32_t> offsets(valid.size() + 1);
  for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = static_cast<std::int32_t>(i * d);
  return std::make_shared<arrow::ListArray>(
      arrow::list(item), rows, arrow::Buffer::FromVector(std::move(offsets)), numbers, bitmap, nulls);
}

void bind_arrow(nb::module_& module) {
  nb::class_<ArrowColumn>(
      module, "ArrowColumn",
      "An Arrow array that any Arrow library takes without copying: pyarrow.array(column), "
      "pyarrow.record_batch(column) where it is a struct, polars.from_arrow(column).")
      .def("__len__", [](const ArrowColumn& self) { return self.array->length(); })
      .def(
          "first_error",
          [](const ArrowColumn& self) -> std::optional<std::pair<std::int64_t, std::string>> {
            const auto* rows = dynamic_cast<const arrow::StructArray*>(self.array.get());
            const auto errors = rows == nullptr ? nullptr : rows->GetFieldByName("error");
            if (errors == nullptr || errors->type_id() != arrow::Type::STRING) return std::nullopt;
            for (std::int64_t i = 0; i < errors->length(); ++i) {
              if (errors->IsValid(i))
                return std::pair(i, static_cast<const arrow::StringArray&>(*errors).GetString(i));
            }
            return std::nullopt;
          },
          "The first row that failed and why; None where none did.")
      .def(
          "__arrow_c_array__",
          [](const ArrowColumn& self, nb::object) {
            auto schema = std::make_unique<ArrowSchema>();
            auto array = std::make_unique<ArrowArray>();
            check(arrow::ExportArray(*self.array, array.get(), schema.get()), "cannot hand the column over");
            nb::object first = to_capsule<ArrowSchema, kSchemaCapsule>(std::move(schema));
            return nb::make_tuple(first, to_capsule<ArrowArray, kArrayCapsule>(std::move(array)));
          },
          nb::arg("requested_schema") = nb::none(),
          nb::sig(
              "def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]"))
      .def(
          "__arrow_c_schema__",
          [](const ArrowColumn& self) {
            auto schema = std::make_unique<ArrowSchema>();
            check(arrow::ExportType(*self.array->type(), schema.get()), "cannot hand the type over");
            return to_capsule<ArrowSchema, kSchemaCapsule>(std::move(schema));
          },
          nb::sig("def __arrow_c_schema__(self) -> object"));
  nb::class_<ArrowStream>(
      module, "ArrowStream",
      "Record batches, made as they are asked for: pyarrow.RecordBatchReader.from_stream(s).")
      .def(
          "__arrow_c_stream__",
          [](const ArrowStream& self, nb::object) {
            auto stream = std::make_unique<ArrowArrayStream>();
            check(arrow::ExportRecordBatchReader(self.open(), stream.get()), "cannot hand the stream over");
            return to_capsule<ArrowArrayStream, kStreamCapsule>(std::move(stream));
          },
          nb::arg("requested_schema") = nb::none(),
          nb::sig("def __arrow_c_stream__(self, requested_schema: object | None = None) -> object"));
}

}  // namespace pomona::python
