// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/components_needed.h"

#include <fmt/core.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <span>

#include "pomona/base/error.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/pca.h"
#include "pomona/learn/row_blocks.h"
#include "pomona/learn/split.h"
#include "pomona/pipeline/photo_copies.h"

namespace pomona {
namespace {

constexpr int kWidest = 8192;  // a moment matrix of more would not be cheap
constexpr int kMostComponents = 256;
constexpr float kLargestHalf = 65504;

using Rows = std::vector<std::size_t>;

// The rows to learn from and to judge by.
struct Sides {
  Rows training;
  Rows judged;
  std::string split;
};

Sides sides_by_split(const LabelledVectors& data, const TargetLabels& target, const std::string& split) {
  Sides sides;
  sides.split = split;
  for (std::size_t row = 0; row < data.n; ++row) {
    if (target.y[row] < 0) continue;
    (data.splits[row] == split ? sides.judged : sides.training).push_back(row);
  }
  return sides;
}

// 0 for photos held back, -1 for those to learn from.
std::vector<int> deal(std::span<const int> classes, std::span<const std::int64_t> groups,
                      const ComponentsNeededOptions& options) {
  std::vector<int> folds;
  for (const bool held : hold_out(classes, groups, options.validation, options.seed))
    folds.push_back(held ? 0 : -1);
  return folds;
}

Sides sides_by_holding_out(const LabelledVectors& data, const TargetLabels& target,
                           const ComponentsNeededOptions& options) {
  Sides sides;
  sides.split = fmt::format("{:.0f} % held back", 100 * options.validation);
  Rows rows;
  std::vector<int> classes;
  std::vector<std::int64_t> groups;
  const Rows copies = first_copies(data.hashes);
  Rows first;  // of each of `rows`
  for (std::size_t row = 0; row < data.n; ++row) {
    if (target.y[row] < 0) continue;
    rows.push_back(row);
    classes.push_back(target.y[row]);
    first.push_back(copies[row]);
    if (!data.groups.empty()) groups.push_back(data.groups[row]);
  }
  if (rows.size() < 2) return sides;
  std::vector<int> folds = deal(classes, groups, options);
  if (copies_apart(first, folds) > 0) {
    const std::vector<std::int64_t> together = groups_with_copies(first, groups);
    if (std::ranges::adjacent_find(together, std::ranges::not_equal_to()) != together.end())
      folds = deal(classes, together, options);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    (folds[i] == 0 ? sides.judged : sides.training).push_back(rows[i]);
  }
  return sides;
}

// Keeps every n-th row, so that at most `most` are left.
void thin_out(Rows& rows, std::size_t most) {
  if (rows.size() <= most) return;
  for (std::size_t i = 0; i < most; ++i) rows[i] = rows[i * rows.size() / most];
  rows.resize(most);
}

// Both sides with their classes numbered anew: the head knows those it was trained on. A judged photo of
// another class is never told right.
struct Study {
  std::vector<std::string> labels;
  std::vector<std::int32_t> training_y;
  std::vector<std::int32_t> judged_y;  // -1: of a class without training photos
  std::vector<float> training;         // photos x width
  std::vector<float> judged;
  std::size_t width = 0;
};

Study number_classes(const TargetLabels& target, const Sides& sides) {
  Study study;
  std::vector<std::int32_t> number(target.labels.size(), -1);
  for (const std::size_t row : sides.training) number[static_cast<std::size_t>(target.y[row])] = 0;
  for (std::size_t c = 0; c < number.size(); ++c) {
    if (number[c] < 0) continue;
    number[c] = static_cast<std::int32_t>(study.labels.size());
    study.labels.push_back(target.labels[c]);
  }
  for (const std::size_t row : sides.training)
    study.training_y.push_back(number[static_cast<std::size_t>(target.y[row])]);
  for (const std::size_t row : sides.judged)
    study.judged_y.push_back(number[static_cast<std::size_t>(target.y[row])]);
  return study;
}

void fill_components(const LabelledVectors& data, const Sides& sides, int most, int threads, Study& study) {
  study.width = static_cast<std::size_t>(data.d);
  const auto each_block = [&](const Rows& rows, const auto& body) {
    for_row_blocks(data.x, static_cast<std::size_t>(data.d), rows, rows.size(), kRowBlock, body);
  };
  if (data.schema.vector_column == "components") {
    const auto take = [&](const Rows& rows, std::vector<float>& into) {
      into.reserve(rows.size() * study.width);
      each_block(rows, [&](std::span<const float> x, std::size_t /*first*/, std::size_t /*count*/) {
        into.insert(into.end(), x.begin(), x.end());
      });
    };
    take(sides.training, study.training);
    take(sides.judged, study.judged);
    return;
  }
  Moments moments(data.d);
  each_block(sides.training, [&](std::span<const float> x, std::size_t /*first*/, std::size_t count) {
    moments.add(x, count, threads);
  });
  const Pca pca = Pca::fit(moments, {.k = most, .variance = {}, .center = true, .threads = threads});
  study.width = static_cast<std::size_t>(pca.k());
  const auto project = [&](const Rows& rows, std::vector<float>& into) {
    into.resize(rows.size() * study.width);
    each_block(rows, [&](std::span<const float> x, std::size_t first, std::size_t count) {
      pca.transform(x, count, std::span(into).subspan(first * study.width, count * study.width), threads);
    });
  };
  project(sides.training, study.training);
  project(sides.judged, study.judged);
}

float as_half(float value) {
  return static_cast<float>(Eigen::half(std::clamp(value, -kLargestHalf, kLargestHalf)));
}

// The steps of each component, from the training photos alone.
class Quantizer {
 public:
  Quantizer(std::span<const float> x, std::size_t width)
      : low_(width, std::numeric_limits<float>::infinity()),
        high_(width, -std::numeric_limits<float>::infinity()) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      low_[i % width] = std::min(low_[i % width], x[i]);
      high_[i % width] = std::max(high_[i % width], x[i]);
    }
  }
  // What one byte leaves of the value.
  float operator()(std::size_t component, float value) const {
    const float step = (high_[component] - low_[component]) / 255;
    if (!(step > 0)) return low_[component];
    return low_[component] + step * std::round(std::clamp((value - low_[component]) / step, 0.0F, 255.0F));
  }

 private:
  std::vector<float> low_;
  std::vector<float> high_;
};

template <typename Store>
std::vector<float> stored(std::span<const float> x, std::size_t width, std::size_t k, const Store& store) {
  std::vector<float> y;
  y.reserve(x.size() / width * k);
  for (std::size_t begin = 0; begin < x.size(); begin += width) {
    for (std::size_t j = 0; j < k; ++j) y.push_back(store(j, x[begin + j]));
  }
  return y;
}

template <typename Store>
double accuracy(const Study& study, std::size_t k, int threads, const Store& store) {
  TrainOptions options;
  options.threads = threads;
  const std::vector<float> training = stored(study.training, study.width, k, store);
  TrainingSet set;
  set.x = training;
  set.n = study.training_y.size();
  set.d = static_cast<int>(k);
  set.y = study.training_y;
  set.labels = study.labels;
  const Classifier head = train_lda(set, options);
  const std::vector<float> judged = stored(study.judged, study.width, k, store);
  std::vector<float> p(study.judged_y.size() * study.labels.size());
  head.probabilities(judged, study.judged_y.size(), p, threads);
  std::size_t right = 0;
  for (std::size_t i = 0; i < study.judged_y.size(); ++i) {
    const auto row = std::span(p).subspan(i * study.labels.size(), study.labels.size());
    right += std::ranges::max_element(row) - row.begin() == study.judged_y[i];
  }
  return static_cast<double>(right) / static_cast<double>(study.judged_y.size());
}

// In about equal ratios, with the last one always among them.
std::vector<int> usual_ks(int most) {
  std::vector<int> ks;
  for (const int k : {1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, kMostComponents}) {
    if (k < most) ks.push_back(k);
  }
  ks.push_back(most);
  return ks;
}

}  // namespace

std::optional<ComponentsNeeded> components_needed(const LabelledVectors& data,
                                                  const ComponentsNeededOptions& options,
                                                  const std::stop_token& stop) {
  if (data.targets.empty() || data.d < 1 || data.d > kWidest) return {};
  const TargetLabels& target = data.targets.front();
  const auto has = [&](const char* split) {
    for (std::size_t row = 0; row < data.n; ++row) {
      if (target.y[row] >= 0 && data.splits[row] == split) return true;
    }
    return false;
  };
  Sides sides = has("Test")         ? sides_by_split(data, target, "Test")
                : has("Validation") ? sides_by_split(data, target, "Validation")
                                    : sides_by_holding_out(data, target, options);
  thin_out(sides.training, options.most);
  thin_out(sides.judged, options.most);
  Study study = number_classes(target, sides);
  if (study.labels.size() < 2 || sides.judged.empty()) return {};

  const bool reduced = data.schema.vector_column == "components";
  int most = std::min(data.d, kMostComponents);
  if (!reduced) most = std::min(most, static_cast<int>(sides.training.size()) - 1);
  if (most < 1) return {};
  std::set<int> ks;
  for (const int k : options.ks.empty() ? usual_ks(most) : options.ks) ks.insert(std::clamp(k, 1, most));
  fill_components(data, sides, *ks.rbegin(), options.threads, study);

  ComponentsNeeded needed;
  needed.target = target.name;
  needed.split = sides.split;
  needed.trained = sides.training.size();
  needed.judged = sides.judged.size();
  needed.d = data.d;
  const Quantizer quantize(study.training, study.width);
  for (const int k : ks) {
    if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped while components were compared");
    const auto width = static_cast<std::size_t>(k);
    needed.points.push_back(
        {k, accuracy(study, width, options.threads, [](std::size_t, float v) { return v; }),
         accuracy(study, width, options.threads, [](std::size_t, float v) { return as_half(v); }),
         accuracy(study, width, options.threads, quantize)});
  }
  return needed;
}

void add_to_json(const ComponentsNeeded& needed, nlohmann::json& evaluation) {
  nlohmann::json points = nlohmann::json::array();
  for (const StoredComponents& point : needed.points) {
    points.push_back({{"k", point.k},
                      {"accuracy_f32", point.f32},
                      {"accuracy_f16", point.f16},
                      {"accuracy_u8", point.u8},
                      {"bytes_f32", 4 * point.k},
                      {"bytes_f16", 2 * point.k},
                      {"bytes_u8", point.k}});
  }
  evaluation["components_needed"] = std::move(points);
  evaluation["components_needed_by"] = {{"head", "lda"},
                                        {"target", needed.target},
                                        {"split", needed.split},
                                        {"trained", needed.trained},
                                        {"judged", needed.judged},
                                        {"dimension", needed.d},
                                        {"u8",
                                         "255 steps between a component's least and largest value in "
                                         "training: 8 bytes a component once for the whole table"}};
}

}  // namespace pomona
