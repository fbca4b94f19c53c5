// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

// Internal to learn/: float32 matrix products on all SIMD targets of the CPU (Google Highway, chosen at run
// time). Row-major throughout.
//
// Numerics, for every function here: products are summed by float32 FMA in runs of at most kRun terms, in
// order; the runs are summed in float64. The sum for one element is the same chain of operations wherever
// that element lies in a tile, for any number of threads and any vector width, so results do not depend on
// threads or on how rows are grouped, and are the same on all CPUs that have FMA.
namespace pomona::dense {

inline constexpr std::size_t kRun = 128;

// A matrix seen through strides (in elements), so that a transpose costs nothing.
struct View {
  const float* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t row_stride = 0;
  std::size_t col_stride = 1;

  static View of(std::span<const float> x, std::size_t rows, std::size_t cols) {
    return {x.data(), rows, cols, cols, 1};
  }
  View transposed() const { return {data, cols, rows, col_stride, row_stride}; }
  View rows_from(std::size_t first, std::size_t count) const {
    return {data + first * row_stride, count, cols, row_stride, col_stride};
  }
};

// The right-hand side of a product, laid out once for the kernels: panels of kPanel columns, each K x kPanel,
// the last one padded with zeros.
class Packed {
 public:
  static constexpr std::size_t kPanel = 48;

  // Packs b (K x N); `shift`, where given (N values), is subtracted from every row.
  explicit Packed(const View& b, std::span<const float> shift = {}, int threads = 1);

  // Room for rows x cols, to be filled by pack().
  Packed(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols) {
    values_.resize(panels() * rows * kPanel);
  }
  // Fills panels begin .. end - 1. Different panels may be filled at once.
  void pack(const View& b, std::span<const float> shift, std::size_t begin, std::size_t end);
  // For a last, smaller matrix in the same room.
  void shrink_rows(std::size_t rows) { rows_ = rows; }

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t panels() const { return (cols_ + kPanel - 1) / kPanel; }
  const float* panel(std::size_t p) const { return values_.data() + p * rows_ * kPanel; }

 private:
  std::size_t rows_;
  std::size_t cols_;
  std::vector<float> values_;
};

// C = A B with A (M x K) and B (K x N). C is M x N, float32 (each element rounded once) or float64.
void multiply(const View& a, const Packed& b, std::span<float> c, int threads = 1);
void multiply(const View& a, const Packed& b, std::span<double> c, int threads = 1);

// gram += X^T X for X (rows x d) in slices of at most kSlice rows; gram is the packed upper triangle, d (d +
// 1) / 2. Each slice is shifted by its own mean (rounded to float32) before the products and the shift is
// undone in float64, so that a large mean costs no digits. sum += column sums, in float64.
inline constexpr std::size_t kSlice = 1024;
void add_moments(const View& x, std::span<double> gram, std::span<double> sum, int threads = 1);

}  // namespace pomona::dense
