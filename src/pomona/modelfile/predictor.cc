// SPDX-License-Identifier: Apache-2.0
#include "pomona/modelfile/predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pomona/base/error.h"

namespace pomona {
namespace {

// Least distance of z = W (x - mean) to a centre, in float64: a whitened square has few digits to spare.
class Distance {
 public:
  explicit Distance(const UnknownDetector& detector) : detector_(detector) {}

  float operator()(std::span<const float> x) {
    const auto d = static_cast<std::size_t>(detector_.d);
    const auto q = static_cast<std::size_t>(detector_.q);
    double scale = 1;
    if (detector_.normalize) {
      const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
      if (squares > 0) scale = 1 / std::sqrt(squares);
    }
    centred_.resize(d);
    for (std::size_t i = 0; i < d; ++i) {
      centred_[i] = scale * x[i] - (detector_.mean.empty() ? 0.0F : detector_.mean[i]);
    }
    z_.resize(q);
    if (detector_.whitening.empty()) {
      z_ = centred_;
    } else {
      for (std::size_t i = 0; i < q; ++i) {
        z_[i] = std::inner_product(centred_.begin(), centred_.end(), detector_.whitening.data() + i * d, 0.0);
      }
    }
    double least = INFINITY;
    for (std::size_t at = 0; at < detector_.centres.size(); at += q) {
      double sum = 0;
      for (std::size_t i = 0; i < q; ++i) {
        const double away = z_[i] - detector_.centres[at + i];
        sum += away * away;
      }
      least = std::min(least, sum);
    }
    return static_cast<float>(std::sqrt(least));
  }

 private:
  const UnknownDetector& detector_;
  std::vector<double> centred_;
  std::vector<double> z_;
};

}  // namespace

std::vector<std::pair<int, float>> Prediction::top(std::size_t t, std::size_t n) const {
  const std::vector<float>& p = probabilities.at(t);
  std::vector<int> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  n = std::min(n, order.size());
  const auto more = [&](int a, int b) {
    const float first = p[static_cast<std::size_t>(a)];
    const float second = p[static_cast<std::size_t>(b)];
    return first != second ? first > second : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(), more);
  std::vector<std::pair<int, float>> best;
  for (std::size_t i = 0; i < n; ++i) best.emplace_back(order[i], p[static_cast<std::size_t>(order[i])]);
  return best;
}

struct Predictor::Impl {
  ModelFile model;
  bool needs_components = false;
  bool needs_features = false;

  std::size_t width = 0;

  // From features x, components y, or both.
  void answer(std::span<const float> x, std::span<const float> y, std::size_t rows,
              std::span<float> numbers) const;
  Prediction prediction(std::span<const float> numbers, bool judges_distance) const;
};

Predictor Predictor::load(const std::filesystem::path& file) {
  return Predictor(read_model_file(file));
}

Predictor::Predictor(ModelFile model) {
  check_model_file(model);
  auto impl = std::make_shared<Impl>();
  const auto note = [&](HeadInput on) {
    (on == HeadInput::kFeatures ? impl->needs_features : impl->needs_components) = true;
  };
  for (const Target& target : model.targets) {
    note(target.on);
    impl->width += static_cast<std::size_t>(target.classifier.classes());
  }
  ++impl->width;
  if (model.unknown && model.unknown->on == HeadInput::kComponents) impl->needs_components = true;
  impl->model = std::move(model);
  impl_ = std::move(impl);
}

const ModelFile& Predictor::model() const {
  return impl_->model;
}
int Predictor::dimension() const {
  return impl_->model.backbone.dimension;
}
bool Predictor::takes_components() const {
  return !impl_->needs_features;
}

std::size_t Predictor::width() const {
  return impl_->width;
}

void Predictor::predict_numbers(std::span<const float> x, std::size_t rows, std::span<float> numbers) const {
  if (x.size() != rows * static_cast<std::size_t>(dimension()) || numbers.size() != rows * width()) {
    throw Error(ErrorCode::kMismatch, "the model takes " + std::to_string(dimension()) +
                                          " features per photo and gives " + std::to_string(width()) +
                                          " numbers");
  }
  std::vector<float> y;
  if (impl_->needs_components) {
    y.resize(rows * static_cast<std::size_t>(impl_->model.pca->k()));
    impl_->model.pca->transform(x, rows, y);
  }
  impl_->answer(x, y, rows, numbers);
}

Prediction Predictor::prediction(std::span<const float> numbers) const {
  if (numbers.size() != width()) throw Error(ErrorCode::kMismatch, "not the numbers of one photo");
  return impl_->prediction(numbers, true);
}

std::vector<Prediction> Predictor::predict(std::span<const float> x, std::size_t rows) const {
  std::vector<float> numbers(rows * width());
  predict_numbers(x, rows, numbers);
  std::vector<Prediction> answers;
  for (std::size_t row = 0; row < rows; ++row) {
    answers.push_back(impl_->prediction(std::span(numbers).subspan(row * width(), width()), true));
  }
  return answers;
}

std::vector<Prediction> Predictor::predict_components(std::span<const float> y, std::size_t rows) const {
  if (impl_->needs_features) {
    throw Error(ErrorCode::kUsage, "the model works on features, not on components: give it the features");
  }
  if (y.size() != rows * static_cast<std::size_t>(impl_->model.pca->k())) {
    throw Error(ErrorCode::kMismatch, "the model takes " + std::to_string(impl_->model.pca->k()) +
                                          " components per photo, not what was given");
  }
  std::vector<float> numbers(rows * width());
  impl_->answer({}, y, rows, numbers);
  const bool judges = impl_->model.unknown && impl_->model.unknown->on == HeadInput::kComponents;
  std::vector<Prediction> answers;
  for (std::size_t row = 0; row < rows; ++row) {
    answers.push_back(impl_->prediction(std::span(numbers).subspan(row * width(), width()), judges));
  }
  return answers;
}

void Predictor::Impl::answer(std::span<const float> x, std::span<const float> y, std::size_t rows,
                             std::span<float> numbers) const {
  const auto input = [&](HeadInput on) { return on == HeadInput::kFeatures ? x : y; };
  std::vector<float> p;
  std::size_t at = 0;
  for (const Target& target : model.targets) {
    const auto classes = static_cast<std::size_t>(target.classifier.classes());
    p.resize(rows * classes);
    target.classifier.probabilities(input(target.on), rows, p);
    for (std::size_t row = 0; row < rows; ++row) {
      std::copy_n(p.data() + row * classes, classes, numbers.data() + row * width + at);
    }
    at += classes;
  }
  for (std::size_t row = 0; row < rows; ++row) numbers[row * width + at] = 0;
  // Components alone do not tell the distance between features.
  if (!model.unknown || (model.unknown->on == HeadInput::kFeatures && x.empty())) return;
  Distance distance(*model.unknown);
  const std::span<const float> values = input(model.unknown->on);
  const auto d = static_cast<std::size_t>(model.unknown->d);
  for (std::size_t row = 0; row < rows; ++row) {
    numbers[row * width + at] = distance(values.subspan(row * d, d));
  }
}

Prediction Predictor::Impl::prediction(std::span<const float> numbers, bool judges_distance) const {
  Prediction answer;
  if (model.unknown && judges_distance) {
    answer.distance = numbers.back();
    // Written so that a distance that is no number counts as unknown.
    answer.unknown = !(static_cast<double>(numbers.back()) <= model.unknown->threshold);
  }
  std::size_t at = 0;
  for (const Target& target : model.targets) {
    const auto classes = static_cast<std::size_t>(target.classifier.classes());
    const std::span<const float> own = numbers.subspan(at, classes);
    at += classes;
    const auto best = std::ranges::max_element(own);
    const bool sure = static_cast<double>(*best) >= target.confident_threshold;
    answer.targets.push_back({.best = static_cast<int>(best - own.begin()),
                              .probability = *best,
                              .confident = sure && !answer.unknown});
    answer.probabilities.emplace_back(own.begin(), own.end());
  }
  return answer;
}

}  // namespace pomona
