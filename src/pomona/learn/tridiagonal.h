// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

// Internal to learn/.
namespace pomona {

// A symmetric tridiagonal matrix T of size n: the diagonal, and n - 1 values beside it.
struct Tridiagonal {
  std::vector<double> diagonal;
  std::vector<double> beside;
};

// All eigenvalues, descending, to about machine precision times the norm of T. Root-free QL after Pal, Walker
// and Kahan (B. N. Parlett, The Symmetric Eigenvalue Problem, section 8.15).
std::vector<double> eigenvalues(const Tridiagonal& t);

// Unit eigenvectors (k x n) of the k largest eigenvalues, which are given, descending. Inverse iteration,
// orthogonalized among neighbours; where that does not come out exact (large clusters of equal eigenvalues),
// implicit QL, which is slower.
std::vector<double> eigenvectors(const Tridiagonal& t, std::span<const double> values);

}  // namespace pomona
