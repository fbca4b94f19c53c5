// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

// Internal to learn/: float64 kernels for symmetric matrices, of which only the upper triangle is kept
// (row-major, d x d). Google Highway, chosen at run time; results do not depend on threads.
namespace pomona::symmetric {

// y += A x, restricted to what the upper triangle's rows begin .. end - 1 contribute, themselves and
// mirrored. Both x and y have d values.
void add_product(const double* a, std::size_t d, std::size_t begin, std::size_t end, const double* x,
                 double* y);

// The right-hand side of subtract_product: panels of kPanel columns of an m x d matrix.
inline constexpr std::size_t kPanel = 24;

// A -= L R in the upper triangle, rows begin .. end - 1. L is d x m; R is m x d in panels. Panels left of a
// row's diagonal are skipped.
void subtract_product(double* a, std::size_t d, std::size_t begin, std::size_t end, const double* l,
                      const double* r, std::size_t m);

double dot(const double* x, const double* y, std::size_t n);
// y += a x
void axpy(double a, const double* x, double* y, std::size_t n);

}  // namespace pomona::symmetric
