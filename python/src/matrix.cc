// SPDX-License-Identifier: Apache-2.0
#include "matrix.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>

namespace nb = nanobind;

namespace pomona::python {
namespace {

template <typename T>
nb::object copied(std::span<const T> x) {
  auto copy = std::make_unique_for_overwrite<T[]>(x.size());
  std::ranges::copy(x, copy.get());
  const nb::capsule owner(copy.get(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(copy.release(), {x.size()}, owner));
}

}  // namespace

void require_finite(std::span<const float> x, std::string_view what) {
  // An exponent of all ones is NaN or infinite. Integers, because the compiler may not reorder sums of
  // floats.
  constexpr std::uint32_t kExponent = 0x7F800000;
  bool bad = false;
  for (const float value : x) bad |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent;
  if (bad) {
    throw nb::value_error((std::string(what) +
                           " contains NaN or infinity; leave such rows out, for example with "
                           "x[numpy.isfinite(x).all(axis=1)]")
                              .c_str());
  }
}

nb::object owned_matrix(std::unique_ptr<float[]> values, std::size_t rows, std::size_t cols) {
  const nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<float*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, float, nb::ndim<2>>(values.release(), {rows, cols}, owner));
}

nb::object array_of(std::span<const float> x) {
  return copied(x);
}
nb::object array_of(std::span<const double> x) {
  return copied(x);
}

}  // namespace pomona::python
