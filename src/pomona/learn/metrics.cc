// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/metrics.h"

#include <algorithm>
#include <cmath>

#include "pomona/base/error.h"

namespace pomona {
namespace {

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Share wilson(std::uint64_t successes, std::uint64_t trials) {
  if (trials == 0) return {0, 0, 1};
  constexpr double kZ = 1.959963984540054;  // 97.5 % quantile of the normal distribution
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double spread = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  const double scale = 1 / (1 + kZ * kZ / n);
  const double centre = p + kZ * kZ / (2 * n);
  return {p, std::max(0.0, scale * (centre - spread)), std::min(1.0, scale * (centre + spread))};
}

Metrics measure(std::span<const int> truth, std::span<const float> probabilities,
                const std::vector<std::string>& labels) {
  const std::size_t classes = labels.size();
  if (classes == 0 || probabilities.size() != truth.size() * classes) {
    throw Error(ErrorCode::kUsage, "metrics need one probability per photo and class");
  }
  Metrics metrics;
  metrics.photos = truth.size();
  metrics.confusion.assign(classes, std::vector<std::uint64_t>(classes));
  std::uint64_t hits = 0;
  std::uint64_t hits3 = 0;
  double loss = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] < 0 || static_cast<std::size_t>(truth[i]) >= classes) {
      throw Error(ErrorCode::kUsage, "class index " + std::to_string(truth[i]) + " is out of range");
    }
    const auto right = static_cast<std::size_t>(truth[i]);
    const auto row = probabilities.subspan(i * classes, classes);
    const auto best = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    ++metrics.confusion[right][best];
    if (best == right) ++hits;
    std::size_t above = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      if (row[c] > row[right] || (row[c] == row[right] && c < right)) ++above;
    }
    if (above < 3) ++hits3;
    loss -= std::log(std::max(1e-15, static_cast<double>(row[right])));
  }
  metrics.accuracy = wilson(hits, metrics.photos);
  metrics.top3 = wilson(hits3, metrics.photos);
  metrics.log_loss = truth.empty() ? 0 : loss / static_cast<double>(truth.size());

  std::size_t occurring = 0;
  std::size_t seen = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    ClassMetrics one;
    one.label = labels[c];
    std::uint64_t predicted = 0;
    for (std::size_t other = 0; other < classes; ++other) {
      one.support += metrics.confusion[c][other];
      predicted += metrics.confusion[other][c];
    }
    const std::uint64_t right = metrics.confusion[c][c];
    one.precision = ratio(right, predicted);
    one.recall = ratio(right, one.support);
    one.f1 = ratio(2 * right, one.support + predicted);
    if (one.support > 0) {
      ++occurring;
      metrics.balanced_accuracy += one.recall;
    }
    if (one.support + predicted > 0) {
      ++seen;
      metrics.macro_f1 += one.f1;
    }
    metrics.classes.push_back(std::move(one));
  }
  if (occurring > 0) metrics.balanced_accuracy /= static_cast<double>(occurring);
  if (seen > 0) metrics.macro_f1 /= static_cast<double>(seen);
  return metrics;
}

nlohmann::json to_json(const Metrics& metrics) {
  nlohmann::json classes = nlohmann::json::array();
  nlohmann::json per_class = nlohmann::json::array();
  for (const ClassMetrics& one : metrics.classes) {
    classes.push_back(one.label);
    per_class.push_back({{"label", one.label},
                         {"precision", one.precision},
                         {"recall", one.recall},
                         {"f1", one.f1},
                         {"support", one.support}});
  }
  return {{"photos", metrics.photos},
          {"accuracy", metrics.accuracy.value},
          {"accuracy_low", metrics.accuracy.low},
          {"accuracy_high", metrics.accuracy.high},
          {"top3", metrics.top3.value},
          {"top3_low", metrics.top3.low},
          {"top3_high", metrics.top3.high},
          {"balanced_accuracy", metrics.balanced_accuracy},
          {"macro_f1", metrics.macro_f1},
          {"log_loss", metrics.log_loss},
          {"classes", classes},
          {"per_class", per_class},
          {"confusion", metrics.confusion}};
}

}  // namespace pomona
