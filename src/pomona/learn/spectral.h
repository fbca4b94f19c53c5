// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace pomona {

// Internal to learn/.
struct Spectral {
  std::vector<double> values;   // all d eigenvalues, descending
  std::vector<double> vectors;  // k x d, unit eigenvectors of the k largest
};

// Eigenvalues and leading eigenvectors of a symmetric d x d matrix (row-major; only the upper triangle is
// read). `choose` is given all eigenvalues and says how many eigenvectors are wanted. Householder
// tridiagonalization in blocks (Dongarra, Hammarling, Sorensen: Block reduction of matrices to condensed
// forms, 1989), float64, with the same bits for any number of threads. Throws Error{kFormat} where a value is
// NaN or infinite.
Spectral decompose(std::vector<double> matrix, std::size_t d,
                   const std::function<std::size_t(std::span<const double> values)>& choose, int threads = 1);

}  // namespace pomona
