// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace pomona {

// Passes over rows of x (row-major, d values each) without a second copy of them all: calls body(values,
// first, count) for `step` of them at a time. Row i is x's row rows[i]; with `rows` empty, x's row i, which
// is passed on where it lies. `values` (count x d) holds during the call.
template <typename Body>
void for_row_blocks(std::span<const float> x, std::size_t d, std::span<const std::size_t> rows, std::size_t n,
                    std::size_t step, const Body& body) {
  std::vector<float> gathered(rows.empty() ? 0 : std::min(step, n) * d);
  for (std::size_t first = 0; first < n; first += step) {
    const std::size_t count = std::min(step, n - first);
    if (rows.empty()) {
      body(x.subspan(first * d, count * d), first, count);
      continue;
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::ranges::copy(x.subspan(rows[first + i] * d, d),
                        gathered.begin() + static_cast<std::ptrdiff_t>(i * d));
    }
    body(std::span<const float>(gathered).first(count * d), first, count);
  }
}

// Rows taken at a time by those who have no wish of their own; whole slices of the moments.
inline constexpr std::size_t kRowBlock = 4096;

}  // namespace pomona
