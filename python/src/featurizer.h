// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <memory>

namespace pomona::python {

// A NumPy array of shape (rows, cols) that owns `values`.
nanobind::object owned_matrix(std::unique_ptr<float[]> values, std::size_t rows, std::size_t cols);

}  // namespace pomona::python
