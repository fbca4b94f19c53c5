// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pomona {

// A probability from which on answers are right often enough.
struct ConfidentThreshold {
  double threshold = 2;  // above 1: never
  double precision = 0;  // share of right answers at or above it, on the calibration photos
  double coverage = 0;   // share of the calibration photos at or above it
};

// The least threshold at which the photos at or above it are right with at least `target` precision.
// `truth`: class indices; `probabilities`: n x classes, of photos the classifier was not trained on.
// Where no threshold reaches the target, threshold is 2: no answer is called confident.
// Throws Error{kUsage} on wrong sizes or a target outside (0, 1].
ConfidentThreshold calibrate_confident(std::span<const int> truth, std::span<const float> probabilities,
                                       int classes, double target);

// The mean direction of every class, of rows that come block by block: each is scaled to length 1, averaged,
// and the mean scaled to length 1 again. Accumulates in float64, in order of the rows.
class ClassDirections {
 public:
  ClassDirections(int d, int class_count)
      : d_(static_cast<std::size_t>(d)), sums_(static_cast<std::size_t>(class_count) * d_) {}
  // `x`: rows x d; `classes`: one per row, those below 0 are left out.
  void add(std::span<const float> x, std::span<const int> classes);
  // classes x d; a class without rows is zero.
  std::vector<float> directions() const;

 private:
  std::size_t d_;
  std::vector<double> sums_;  // classes x d
};

// Euclidean distance of every row, scaled to length 1, to the nearest of `centres` (m x d, unit rows):
// sqrt(2 - 2 cos). What tells a photo unlike anything in training.
std::vector<float> nearest_distances(std::span<const float> x, std::size_t rows, int d,
                                     std::span<const float> centres);

// The value below which `share` of the values lie (linear between ranks, as numpy's default).
double quantile(std::vector<float> values, double share);

}  // namespace pomona
