// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/pca.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>

#include "bindings.h"
#include "matrix.h"
#include "place.h"
#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/pipeline/reduce.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_paths.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

int thread_count(int threads) {
  return threads > 0 ? threads : cpu_budget();
}

nb::bytes bytes_of(const std::string& text) {
  return nb::bytes(text.data(), text.size());
}

std::string_view view_of(const nb::bytes& bytes) {
  return {bytes.c_str(), bytes.size()};
}

void add(Moments& self, const Matrix& x, int threads) {
  const nb::gil_scoped_release release;
  require_finite(values(x), "x");
  self.add(values(x), x.shape(0), thread_count(threads));
}

PcaOptions options_of(std::optional<int> k, std::optional<double> variance, bool center, int threads) {
  return {.k = k, .variance = variance, .center = center, .threads = thread_count(threads)};
}

Pca fit(const Matrix& x, std::optional<int> k, std::optional<double> variance, bool center, int threads) {
  const nb::gil_scoped_release release;
  require_finite(values(x), "x");
  return Pca::fit_wide(values(x), x.shape(0), static_cast<int>(x.shape(1)),
                       options_of(k, variance, center, threads));
}

Pca fit_moments(const Moments& moments, std::optional<int> k, std::optional<double> variance, bool center,
                int threads) {
  const nb::gil_scoped_release release;
  return Pca::fit(moments, options_of(k, variance, center, threads));
}

nb::object transform(const Pca& self, const Matrix& x, int threads) {
  const std::size_t rows = x.shape(0);
  const auto k = static_cast<std::size_t>(self.k());
  auto y = std::make_unique_for_overwrite<float[]>(rows * k);
  {
    const nb::gil_scoped_release release;
    require_finite(values(x), "x");
    self.transform(values(x), rows, {y.get(), rows * k}, thread_count(threads));
  }
  return owned_matrix(std::move(y), rows, k);
}

void save(const Pca& self, const Place& place) {
  const nb::gil_scoped_release release;
  const FilePlace file = file_place(place.bytes);
  if (file.name.empty())
    throw Error(ErrorCode::kUsage, "a PCA is saved as a file; " + place.bytes + " names a folder");
  Store::open(file.folder).write(file.name, self.serialize());
}

}  // namespace

void bind_pca(nb::module_& module) {
  nb::class_<Moments>(module, "Moments", "The engine of pomona.Moments.")
      .def(nb::init<int>(), nb::arg("d"))
      .def_prop_ro("d", &Moments::d)
      .def_prop_ro("n", &Moments::n)
      .def_prop_ro(
          "sum", [](const Moments& self) { return array_of(self.sum()); },
          nb::sig("def sum(self) -> numpy.typing.NDArray[numpy.float64]"))
      .def_prop_ro(
          "gram", [](const Moments& self) { return array_of(self.gram()); },
          nb::sig("def gram(self) -> numpy.typing.NDArray[numpy.float64]"))
      .def("add", &add, nb::arg("x"), nb::arg("threads"),
           nb::sig("def add(self, x: numpy.typing.NDArray[numpy.float32], threads: int) -> None"))
      .def("merge", &Moments::merge, nb::arg("other"), nb::call_guard<nb::gil_scoped_release>())
      .def("serialize", [](const Moments& self) { return bytes_of(self.serialize()); })
      .def_static(
          "deserialize", [](const nb::bytes& bytes) { return Moments::deserialize(view_of(bytes)); },
          nb::arg("data"));
  nb::class_<Pca>(module, "Pca", "The engine of pomona.PCA.")
      .def_static(
          "fit", &fit, nb::arg("x"), nb::arg("k").none(), nb::arg("variance").none(), nb::arg("center"),
          nb::arg("threads"),
          nb::sig("def fit(x: numpy.typing.NDArray[numpy.float32], k: int | None, variance: float | None, "
                  "center: bool, threads: int) -> Pca"))
      .def_static("fit_moments", &fit_moments, nb::arg("moments"), nb::arg("k").none(),
                  nb::arg("variance").none(), nb::arg("center"), nb::arg("threads"))
      .def("transform", &transform, nb::arg("x"), nb::arg("threads"),
           nb::sig("def transform(self, x: numpy.typing.NDArray[numpy.float32], threads: int) -> "
                   "numpy.typing.NDArray[numpy.float32]"))
      .def("truncated", &Pca::truncated, nb::arg("k"))
      .def_prop_ro("d", &Pca::d)
      .def_prop_ro("k", &Pca::k)
      .def_prop_ro("n", &Pca::n)
      .def_prop_ro("center", &Pca::center)
      .def_prop_ro(
          "mean", [](const Pca& self) { return array_of(self.mean()); },
          nb::sig("def mean(self) -> numpy.typing.NDArray[numpy.float32]"))
      .def_prop_ro(
          "components", [](const Pca& self) { return array_of(self.components()); },
          nb::sig("def components(self) -> numpy.typing.NDArray[numpy.float32]"))
      .def_prop_ro(
          "spectrum", [](const Pca& self) { return array_of(self.spectrum()); },
          nb::sig("def spectrum(self) -> numpy.typing.NDArray[numpy.float64]"))
      .def_prop_rw(
          "record", [](const Pca& self) { return self.record.dump(); },
          [](Pca& self, const std::string& text) {
            nlohmann::json record = parse_json(text);
            if (record.is_discarded())
              throw Error(ErrorCode::kFormat, "the record is no JSON, or nests too deeply");
            self.record = std::move(record);
          })
      .def("serialize", [](const Pca& self) { return bytes_of(self.serialize()); })
      .def_static(
          "deserialize", [](const nb::bytes& bytes) { return Pca::deserialize(view_of(bytes)); },
          nb::arg("data"))
      .def("save", &save, nb::arg("uri"))
      .def_static(
          "load", [](const Place& place) { return load_pca(place.bytes); }, nb::arg("uri"),
          nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace pomona::python
