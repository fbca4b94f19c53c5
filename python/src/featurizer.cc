// SPDX-License-Identifier: Apache-2.0
#include <arrow/api.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrow_column.h"
#include "bindings.h"
#include "interruptible.h"
#include "matrix.h"
#include "of_this_process.h"
#include "photos.h"
#include "place.h"
#include "pomona/model/network.h"
#include "pomona/storage/arrow_status_internal.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

using Outcomes = std::vector<Outcome<PhotoInfo>>;

std::shared_ptr<BatchFeaturizer> open_featurizer(const Place& model, std::optional<int> input_size,
                                                 const std::string& precision, const std::string& layer,
                                                 const std::string& pool, std::optional<Place> preprocess,
                                                 std::optional<std::string> resize,
                                                 std::optional<std::string> fit, bool exif_orientation,
                                                 const std::string& jpeg_scale, int threads, int batch,
                                                 bool compile_cache) {
  NetworkOptions options;
  options.model = model.bytes;
  options.input_size = input_size;
  options.precision = parse_precision(precision);
  options.layer = layer;
  options.pool = parse_pool(pool);
  if (preprocess) options.preprocess = std::move(preprocess->bytes);
  if (resize) options.kernel = parse_kernel(*resize);
  if (fit) options.fit = parse_fit(*fit);
  options.exif_orientation = exif_orientation;
  if (jpeg_scale != "auto" && jpeg_scale != "off")
    throw Error(ErrorCode::kUsage, "jpeg_scale is '" + jpeg_scale + "'; it can be auto or off");
  options.jpeg_scale = jpeg_scale == "off" ? JpegScale::kOff : JpegScale::kAuto;
  if (threads < 0) throw Error(ErrorCode::kUsage, "threads must be 0 (as many as there are CPUs) or more");
  if (batch < 0 || batch > 1024)
    throw Error(ErrorCode::kUsage, "batch must be between 1 and 1024 photos, or 0: by the input size");
  options.batch = batch;
  options.streams = threads;
  options.compile_cache = compile_cache;
  std::shared_ptr<BatchFeaturizer> featurizer;
  run_interruptible([&](std::stop_token) { featurizer = of_this_process(Network::load(options), threads); });
  return featurizer;
}

nb::object errors_of(const Outcomes& outcomes) {
  nb::list errors;
  for (const auto& outcome : outcomes) {
    if (outcome) {
      errors.append(nb::none());
    } else {
      errors.append(nb::str(outcome.error().reason.c_str()));
    }
  }
  return errors;
}

nb::object featurize(const BatchFeaturizer& self, nb::sequence photos) {
  const Photos taken(photos);
  const std::size_t rows = taken.sources().size();
  const auto d = static_cast<std::size_t>(self.network().dimension());
  auto vectors = std::make_unique_for_overwrite<float[]>(rows * d);
  Outcomes outcomes;
  run_interruptible([&](std::stop_token stop) {
    outcomes = self.featurize(taken.sources(), {vectors.get(), rows * d}, std::move(stop));
  });
  for (const auto& [row, why] : taken.unusable()) outcomes[row] = reject(Stage::kDecode, why);
  return nb::make_tuple(owned_matrix(std::move(vectors), rows, d), errors_of(outcomes));
}

std::shared_ptr<arrow::Array> finished(arrow::ArrayBuilder& builder) {
  return take(builder.Finish(), "no memory for a column");
}

ArrowColumn featurize_arrow(const BatchFeaturizer& self, nb::handle column, bool fixed_size) {
  const ArrowPhotos photos(import_column(column));
  const std::size_t rows = photos.sources().size();
  const auto d = static_cast<std::size_t>(self.network().dimension());
  std::vector<float> vectors(rows * d);
  Outcomes outcomes;
  run_interruptible(
      [&](std::stop_token stop) { outcomes = self.featurize(photos.sources(), vectors, std::move(stop)); });
  for (const auto& [row, why] : photos.unusable()) outcomes[row] = reject(Stage::kRead, why);

  std::vector<std::uint8_t> valid(rows);
  arrow::StringBuilder errors;
  arrow::Int32Builder widths;
  arrow::Int32Builder heights;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto& outcome = outcomes[i];
    valid[i] = outcome.has_value() ? 1 : 0;
    check(outcome ? errors.AppendNull() : errors.Append(outcome.error().reason), "no memory for a column");
    check(outcome ? widths.Append(outcome->width) : widths.AppendNull(), "no memory for a column");
    check(outcome ? heights.Append(outcome->height) : heights.AppendNull(), "no memory for a column");
  }
  const arrow::ArrayVector columns = {vector_column(std::move(vectors), d, valid, fixed_size),
                                      finished(errors), finished(widths), finished(heights)};
  const arrow::FieldVector fields = {
      arrow::field("features", columns[0]->type()), arrow::field("error", arrow::utf8()),
      arrow::field("width", arrow::int32()), arrow::field("height", arrow::int32())};
  return {take(arrow::StructArray::Make(columns, fields), "cannot make a struct column")};
}

}  // namespace

void bind_featurizer(nb::module_& module) {
  nb::class_<BatchFeaturizer>(module, "Featurizer", "The engine of pomona.Featurizer.")
      .def(nb::new_(&open_featurizer), nb::kw_only(), nb::arg("model"), nb::arg("input_size").none(),
           nb::arg("precision"), nb::arg("layer"), nb::arg("pool"), nb::arg("preprocess").none(),
           nb::arg("resize").none(), nb::arg("fit").none(), nb::arg("exif_orientation"),
           nb::arg("jpeg_scale"), nb::arg("threads"), nb::arg("batch"), nb::arg("compile_cache"))
      .def("featurize", &featurize, nb::arg("photos"),
           nb::sig("def featurize(self, photos: collections.abc.Sequence[object]) -> "
                   "tuple[numpy.typing.NDArray[numpy.float32], list[str | None]]"))
      .def("featurize_arrow", &featurize_arrow, nb::arg("column"), nb::arg("fixed_size"))
      .def_prop_ro("dimension", [](const BatchFeaturizer& self) { return self.network().dimension(); })
      .def_prop_ro("name", [](const BatchFeaturizer& self) { return self.network().name(); })
      .def_prop_ro("batch", [](const BatchFeaturizer& self) { return self.network().batch(); })
      .def_prop_ro("threads", &BatchFeaturizer::threads)
      .def_prop_ro("preprocess",
                   [](const BatchFeaturizer& self) { return to_json(self.network().preprocess()).dump(); })
      .def_prop_ro("fingerprint", [](const BatchFeaturizer& self) {
        nlohmann::json json = to_json(self.network().fingerprint());
        json["identity_hash"] = self.network().fingerprint().identity_hash();
        return json.dump();
      });
}

}  // namespace pomona::python
