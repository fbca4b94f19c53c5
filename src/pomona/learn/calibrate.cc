// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/calibrate.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "pomona/base/error.h"

namespace pomona {
namespace {

double length(std::span<const float> row) {
  double sum = 0;
  for (const float v : row) sum += static_cast<double>(v) * v;
  return std::sqrt(sum);
}

}  // namespace

ConfidentThreshold calibrate_confident(std::span<const int> truth, std::span<const float> probabilities,
                                       int classes, double target) {
  if (classes < 1 || probabilities.size() != truth.size() * static_cast<std::size_t>(classes)) {
    throw Error(ErrorCode::kUsage, "calibration needs one probability per photo and class");
  }
  if (!(target > 0 && target <= 1)) {
    throw Error(ErrorCode::kUsage,
                "the target precision must be above 0 and at most 1, not " + std::to_string(target));
  }
  std::vector<std::pair<float, bool>> answers;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const auto row =
        probabilities.subspan(i * static_cast<std::size_t>(classes), static_cast<std::size_t>(classes));
    const auto best = std::ranges::max_element(row);
    answers.emplace_back(*best, best - row.begin() == truth[i]);
  }
  std::ranges::sort(answers, std::greater{}, &std::pair<float, bool>::first);
  ConfidentThreshold found;
  std::size_t right = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].second) ++right;
    // Photos of equal probability stand or fall together.
    if (i + 1 < answers.size() && answers[i + 1].first == answers[i].first) continue;
    const double precision = static_cast<double>(right) / static_cast<double>(i + 1);
    if (precision >= target) {
      found = {answers[i].first, precision, static_cast<double>(i + 1) / static_cast<double>(answers.size())};
    }
  }
  return found;
}

void ClassDirections::add(std::span<const float> x, std::span<const int> classes) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] < 0) continue;
    const auto row = x.subspan(i * d_, d_);
    const double norm = length(row);
    if (norm == 0) continue;
    double* sum = sums_.data() + static_cast<std::size_t>(classes[i]) * d_;
    for (std::size_t j = 0; j < d_; ++j) sum[j] += row[j] / norm;
  }
}

std::vector<float> ClassDirections::directions() const {
  std::vector<float> directions(sums_.size());
  for (std::size_t c = 0; c < sums_.size(); c += d_) {
    double norm = 0;
    for (std::size_t j = 0; j < d_; ++j) norm += sums_[c + j] * sums_[c + j];
    norm = std::sqrt(norm);
    if (norm == 0) continue;
    for (std::size_t j = 0; j < d_; ++j) directions[c + j] = static_cast<float>(sums_[c + j] / norm);
  }
  return directions;
}

std::vector<float> nearest_distances(std::span<const float> x, std::size_t rows, int d,
                                     std::span<const float> centres) {
  const auto width = static_cast<std::size_t>(d);
  std::vector<float> distances(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto row = x.subspan(i * width, width);
    const double norm = length(row);
    double best = -1;
    for (std::size_t c = 0; c < centres.size() / width; ++c) {
      double dot = 0;
      for (std::size_t j = 0; j < width; ++j) dot += static_cast<double>(row[j]) * centres[c * width + j];
      best = std::max(best, norm == 0 ? 0 : dot / norm);
    }
    distances[i] = static_cast<float>(std::sqrt(std::max(0.0, 2 - 2 * best)));
  }
  return distances;
}

double quantile(std::vector<float> values, double share) {
  if (values.empty()) throw Error(ErrorCode::kUsage, "a quantile of no values");
  std::ranges::sort(values);
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (rank - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace pomona
