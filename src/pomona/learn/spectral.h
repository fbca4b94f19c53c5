// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace pomona {

// Internal to learn/.
struct Spectral {
  std::vector<double> values;   // all d eigenvalues, descending
  std::vector<double> vectors;  // k x d, unit eigenvectors of the k largest
};

// Eigenvalues and the leading eigenvectors of a symmetric d x d matrix (row-major, both triangles filled).
Spectral decompose(std::vector<double> matrix, std::size_t d, std::size_t k, int threads = 1);

}  // namespace pomona
