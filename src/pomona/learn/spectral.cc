// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/spectral.h"

#include <Eigen/Eigenvalues>

namespace pomona {

Spectral decompose(std::vector<double> matrix, std::size_t d, std::size_t k, int) {
  const auto n = static_cast<Eigen::Index>(d);
  const Eigen::Map<Eigen::MatrixXd> a(matrix.data(), n, n);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
  Spectral out;
  for (Eigen::Index i = n; i-- > 0;) out.values.push_back(solver.eigenvalues()[i]);
  for (std::size_t c = 0; c < k; ++c) {
    const auto vector = solver.eigenvectors().col(n - 1 - static_cast<Eigen::Index>(c));
    out.vectors.insert(out.vectors.end(), vector.begin(), vector.end());
  }
  return out;
}

}  // namespace pomona
