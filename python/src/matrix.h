// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace pomona::python {

// What Python hands in: float32, row-major, any owner.
using Matrix = nanobind::ndarray<const float, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;

inline std::span<const float> values(const Matrix& x) {
  return {x.data(), x.shape(0) * x.shape(1)};
}

// Throws ValueError where a value is NaN or infinite; `what` names the array.
void require_finite(std::span<const float> x, std::string_view what);

// A NumPy array of shape (rows, cols) that owns `values`.
nanobind::object owned_matrix(std::unique_ptr<float[]> values, std::size_t rows, std::size_t cols);

// NumPy copies.
nanobind::object array_of(std::span<const float> x);
nanobind::object array_of(std::span<const double> x);

}  // namespace pomona::python
