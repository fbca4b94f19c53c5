// SPDX-License-Identifier: Apache-2.0
#include <arrow/api.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

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
#include "pomona/base/error.h"
#include "pomona/modelfile/predictor.h"
#include "pomona/pipeline/featurize_batch.h"
#include "pomona/pipeline/predict.h"
#include "pomona/storage/arrow_status_internal.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

// A model file with its network open: what `pomona predict` works with.
struct Model {
  Predictor predictor;
  std::shared_ptr<BatchFeaturizer> featurizer;
  std::optional<std::string> warning;  // the network runs at another precision than it was trained at

  std::size_t classes(std::size_t target) const {
    return predictor.model().targets.at(target).classifier.labels.size();
  }
};

std::shared_ptr<Model> open_model(const Place& place, const std::string& precision, int threads, int batch,
                                  bool compile_cache) {
  const std::string& uri = place.bytes;
  std::shared_ptr<Model> model;
  run_interruptible([&](std::stop_token) {
    Predictor predictor(load_model(uri));
    const Fingerprint& trained = predictor.model().backbone.fingerprint;
    NetworkOptions options;
    options.model = uri;
    options.batch = batch;
    options.streams = threads;
    options.compile_cache = compile_cache;
    options.precision = parse_precision(precision);
    // As the model was trained, where this CPU can.
    if (options.precision == Precision::kAuto) options.precision = precision_like(trained.precision);
    auto featurizer = of_this_process(load_network(predictor.model(), options), threads);
    auto warning = require_same(featurizer->network().fingerprint(), "this process", trained,
                                "the model's training", false);
    model = std::make_shared<Model>(Model{std::move(predictor), std::move(featurizer), std::move(warning)});
  });
  return model;
}

// Rows x width numbers: probabilities of each target's classes, then the distance (Predictor::width).
struct Answers {
  std::vector<float> numbers;
  std::size_t width = 0;
  std::vector<Outcome<PhotoInfo>> outcomes;
};

Answers answer(const Model& model, std::span<const PhotoSource> photos) {
  Answers answers;
  const auto d = static_cast<std::size_t>(model.predictor.dimension());
  answers.width = model.predictor.width();
  run_interruptible([&](std::stop_token stop) {
    std::vector<float> vectors(photos.size() * d);
    answers.outcomes = model.featurizer->featurize(photos, vectors, std::move(stop));
    // What is no photo has no vector; the heads take numbers only.
    for (std::size_t i = 0; i < photos.size(); ++i) {
      if (!answers.outcomes[i]) std::fill_n(vectors.begin() + static_cast<std::ptrdiff_t>(i * d), d, 0.0F);
    }
    answers.numbers.resize(photos.size() * answers.width);
    model.predictor.predict_numbers(vectors, photos.size(), answers.numbers);
  });
  return answers;
}

std::span<const float> row(const Answers& answers, std::size_t i) {
  return std::span<const float>(answers.numbers).subspan(i * answers.width, answers.width);
}

// One photo's answer as plain Python values: (unknown, distance, [(best, probability, confident), ...],
// [[probabilities], ...]).
nb::object to_python(const Prediction& prediction) {
  nb::list targets;
  for (const TargetAnswer& target : prediction.targets) {
    targets.append(nb::make_tuple(target.best, target.probability, target.confident));
  }
  nb::list probabilities;
  for (const auto& of_target : prediction.probabilities) probabilities.append(array_of(std::span(of_target)));
  nb::object distance = prediction.distance ? nb::cast(*prediction.distance) : nb::none();
  return nb::make_tuple(prediction.unknown, distance, targets, probabilities);
}

nb::object predict(const Model& self, nb::sequence photos) {
  const Photos taken(photos);
  Answers answers = answer(self, taken.sources());
  for (const auto& [index, why] : taken.unusable()) answers.outcomes[index] = reject(Stage::kDecode, why);
  nb::list rows;
  nb::list errors;
  for (std::size_t i = 0; i < answers.outcomes.size(); ++i) {
    const auto& outcome = answers.outcomes[i];
    rows.append(outcome ? to_python(self.predictor.prediction(row(answers, i))) : nb::none());
    errors.append(outcome ? nb::object(nb::none()) : nb::object(nb::str(outcome.error().reason.c_str())));
  }
  return nb::make_tuple(rows, errors);
}

nb::object predict_features(const Model& self, const Matrix& x) {
  const auto d = static_cast<std::size_t>(self.predictor.dimension());
  if (x.shape(1) != d) {
    throw nb::value_error(("x has " + std::to_string(x.shape(1)) + " columns; the model takes vectors of " +
                           std::to_string(d) + " numbers")
                              .c_str());
  }
  std::vector<Prediction> predictions;
  {
    const nb::gil_scoped_release release;
    require_finite(values(x), "x");
    predictions = self.predictor.predict(values(x), x.shape(0));
  }
  nb::list rows;
  for (const Prediction& prediction : predictions) rows.append(to_python(prediction));
  return rows;
}

std::shared_ptr<arrow::Array> finished(arrow::ArrayBuilder& builder) {
  return take(builder.Finish(), "no memory for a column");
}

constexpr const char* kNoMemory = "no memory for a column";

ArrowColumn predict_arrow(const Model& self, nb::handle column) {
  const ArrowPhotos photos(import_column(column));
  Answers answers = answer(self, photos.sources());
  for (const auto& [index, why] : photos.unusable()) answers.outcomes[index] = reject(Stage::kRead, why);
  const ModelFile& model = self.predictor.model();
  const std::size_t rows = answers.outcomes.size();
  std::vector<Prediction> predictions(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    if (answers.outcomes[i]) predictions[i] = self.predictor.prediction(row(answers, i));
  }

  arrow::ArrayVector columns;
  arrow::FieldVector fields;
  const auto put = [&](const std::string& name, arrow::ArrayBuilder& builder) {
    columns.push_back(finished(builder));
    fields.push_back(arrow::field(name, columns.back()->type()));
  };
  for (std::size_t t = 0; t < model.targets.size(); ++t) {
    const Target& target = model.targets[t];
    const std::string suffix = t == 0 ? "" : "_" + target.name;
    arrow::StringBuilder label;
    arrow::FloatBuilder probability;
    arrow::BooleanBuilder confident;
    for (std::size_t i = 0; i < rows; ++i) {
      if (!answers.outcomes[i]) {
        check(label.AppendNull(), kNoMemory);
        check(probability.AppendNull(), kNoMemory);
        check(confident.AppendNull(), kNoMemory);
        continue;
      }
      const TargetAnswer& best = predictions[i].targets[t];
      check(label.Append(target.classifier.labels[static_cast<std::size_t>(best.best)]), kNoMemory);
      check(probability.Append(best.probability), kNoMemory);
      check(confident.Append(best.confident), kNoMemory);
    }
    put("label" + suffix, label);
    put("probability" + suffix, probability);
    put("confident" + suffix, confident);
  }
  arrow::BooleanBuilder unknown;
  arrow::FloatBuilder distance;
  arrow::StringBuilder errors;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto& outcome = answers.outcomes[i];
    check(outcome ? unknown.Append(predictions[i].unknown) : unknown.AppendNull(), kNoMemory);
    check(predictions[i].distance ? distance.Append(*predictions[i].distance) : distance.AppendNull(),
          kNoMemory);
    check(outcome ? errors.AppendNull() : errors.Append(outcome.error().reason), kNoMemory);
  }
  put("unknown", unknown);
  put("distance", distance);
  put("error", errors);
  return {take(arrow::StructArray::Make(columns, fields), "cannot make a struct column")};
}

nb::object targets_of(const Model& self) {
  nb::list targets;
  for (const Target& target : self.predictor.model().targets) {
    nb::list labels;
    for (const std::string& label : target.classifier.labels)
      labels.append(nb::str(label.c_str(), label.size()));
    targets.append(nb::make_tuple(nb::str(target.name.c_str()), labels, target.confident_threshold));
  }
  return targets;
}

}  // namespace

void bind_model(nb::module_& module) {
  nb::class_<Model>(module, "Model", "The engine of pomona.Model.")
      .def_static("load", &open_model, nb::arg("uri"), nb::arg("precision"), nb::arg("threads"),
                  nb::arg("batch"), nb::arg("compile_cache"))
      .def("predict", &predict, nb::arg("photos"),
           nb::sig("def predict(self, photos: collections.abc.Sequence[object]) -> "
                   "tuple[list[typing.Any], list[str | None]]"))
      .def("predict_features", &predict_features, nb::arg("x"),
           nb::sig("def predict_features(self, x: numpy.typing.NDArray[numpy.float32]) -> list[typing.Any]"))
      .def("predict_arrow", &predict_arrow, nb::arg("column"))
      .def_prop_ro("targets", &targets_of, nb::sig("def targets(self) -> list[tuple[str, list[str], float]]"))
      .def_prop_ro("featurizer", [](const Model& self) { return self.featurizer; })
      .def_prop_ro("name", [](const Model& self) { return self.predictor.model().name; })
      .def_prop_ro("card", [](const Model& self) { return self.predictor.model().card.dump(); })
      .def_prop_ro("training", [](const Model& self) { return self.predictor.model().training.dump(); })
      .def_prop_ro("description",
                   [](const Model& self) { return describe_model_file(self.predictor.model()); })
      .def_prop_ro("warning", [](const Model& self) { return self.warning; });
}

}  // namespace pomona::python
