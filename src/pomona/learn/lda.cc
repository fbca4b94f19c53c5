// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "pomona/base/error.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/row_blocks.h"

namespace pomona {

ClassMoments::ClassMoments(int d, int classes)
    : moments(d),
      counts(static_cast<std::size_t>(classes)),
      sums(static_cast<std::size_t>(classes) * static_cast<std::size_t>(d)) {}

void ClassMoments::add(std::span<const float> x, std::size_t rows, std::span<const std::int32_t> y,
                       int threads) {
  if (y.size() != rows) {
    throw Error(ErrorCode::kMismatch, fmt::format("{} rows came with {} labels.", rows, y.size()));
  }
  moments.add(x, rows, threads);
  const std::size_t d = moments.sum().size();
  for (std::size_t i = 0; i < rows; ++i) {
    const auto c = static_cast<std::size_t>(y[i]);
    if (c >= counts.size()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("Row {} has class number {}; there are {} classes.", i, y[i], counts.size()));
    }
    ++counts[c];
    for (std::size_t j = 0; j < d; ++j) sums[c * d + j] += static_cast<double>(x[i * d + j]);
  }
}

void ClassMoments::merge(const ClassMoments& other) {
  if (other.counts.size() != counts.size()) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("Moments of {} classes cannot be merged with moments of {}.", counts.size(),
                            other.counts.size()));
  }
  moments.merge(other.moments);
  for (std::size_t c = 0; c < counts.size(); ++c) counts[c] += other.counts[c];
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i];
}

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Scatter within the classes over n; the lower triangle is filled.
Matrix within_covariance(const ClassMoments& m, const Matrix& means) {
  const auto d = static_cast<Eigen::Index>(m.moments.d());
  const auto n = static_cast<double>(m.moments.n());
  Matrix s(d, d);
  const auto gram = m.moments.gram();
  std::size_t at = 0;
  for (Eigen::Index i = 0; i < d; ++i) {
    for (Eigen::Index j = i; j < d; ++j) s(j, i) = gram[at++];
  }
  Matrix scaled = means;
  for (Eigen::Index c = 0; c < means.rows(); ++c) {
    scaled.row(c) *= std::sqrt(static_cast<double>(m.counts[static_cast<std::size_t>(c)]));
  }
  s.selfadjointView<Eigen::Lower>().rankUpdate(scaled.transpose(), -1);
  return s / n;
}

// The oracle approximating shrinkage estimate for n samples of covariance s (lower triangle).
double oracle_shrinkage(const Matrix& s, double n) {
  const auto d = static_cast<double>(s.rows());
  double square = 0;
  for (Eigen::Index i = 0; i < s.rows(); ++i) {
    square += s(i, i) * s(i, i) + 2 * s.row(i).head(i).squaredNorm();
  }
  const double trace = s.trace();
  const double top = (1 - 2 / d) * square + trace * trace;
  const double bottom = (n + 1 - 2 / d) * (square - trace * trace / d);
  return bottom <= 0 ? 1 : std::min(1.0, top / bottom);
}

}  // namespace

Classifier train_lda(const ClassMoments& m, std::vector<std::string> labels, const TrainOptions& options) {
  const auto d = static_cast<Eigen::Index>(m.moments.d());
  const auto classes = static_cast<Eigen::Index>(m.counts.size());
  if (labels.size() != m.counts.size() || classes < 2) {
    throw Error(ErrorCode::kUsage,
                fmt::format("LDA needs at least two classes and a label for each; there are {} "
                            "classes and {} labels.",
                            m.counts.size(), labels.size()));
  }
  for (std::size_t c = 0; c < labels.size(); ++c) {
    if (m.counts[c] == 0) {
      throw Error(ErrorCode::kUsage, fmt::format("No row has the label \"{}\": leave it out.", labels[c]));
    }
  }
  if (options.shrinkage > 1) {
    throw Error(ErrorCode::kUsage,
                fmt::format("A shrinkage of {} was asked for: give 0 to 1.", options.shrinkage));
  }
  Matrix means(classes, d);
  for (Eigen::Index c = 0; c < classes; ++c) {
    const auto at = static_cast<std::size_t>(c * d);
    means.row(c) = Eigen::Map<const Eigen::RowVectorXd>(m.sums.data() + at, d) /
                   static_cast<double>(m.counts[static_cast<std::size_t>(c)]);
  }
  const auto n = static_cast<double>(m.moments.n());
  Matrix s = within_covariance(m, means);
  const double shrinkage =
      options.shrinkage >= 0 ? options.shrinkage : oracle_shrinkage(s, n - static_cast<double>(classes));
  const double trace = s.trace();
  if (!std::isfinite(trace)) {
    throw Error(ErrorCode::kUsage, "The features hold values that are not numbers (NaN or infinite).");
  }
  s *= 1 - shrinkage;
  // A whiff more than asked for, so that constant features do not divide by zero.
  s.diagonal().array() += (shrinkage + 1e-9) * trace / static_cast<double>(d) + 1e-30;

  const Eigen::RowVectorXd centre = Eigen::Map<const Eigen::RowVectorXd>(m.moments.sum().data(), d) / n;
  means.rowwise() -= centre;
  const Matrix weights = s.selfadjointView<Eigen::Lower>().llt().solve(means.transpose()).transpose();

  LinearHead head;
  for (Eigen::Index c = 0; c < classes; ++c) {
    const double prior = options.balanced ? 1.0 / static_cast<double>(classes)
                                          : static_cast<double>(m.counts[static_cast<std::size_t>(c)]) / n;
    const double bias = std::log(prior) - 0.5 * weights.row(c).dot(means.row(c)) - weights.row(c).dot(centre);
    head.bias.push_back(static_cast<float>(bias));
    for (Eigen::Index j = 0; j < d; ++j) head.weights.push_back(static_cast<float>(weights(c, j)));
  }
  Classifier out;
  out.kind = "lda";
  out.d = m.moments.d();
  out.labels = std::move(labels);
  out.head = std::move(head);
  out.record = {{"shrinkage", shrinkage}, {"balanced", options.balanced}};
  return out;
}

Classifier train_lda(const TrainingSet& set, const TrainOptions& options) {
  check_training_set(set);
  ClassMoments moments(set.d, static_cast<int>(set.labels.size()));
  for_row_blocks(set.x, static_cast<std::size_t>(set.d), set.rows, set.n, kRowBlock,
                 [&](std::span<const float> x, std::size_t first, std::size_t count) {
                   moments.add(x, count, set.y.subspan(first, count), options.threads);
                 });
  return train_lda(moments, set.labels, options);
}

}  // namespace pomona
