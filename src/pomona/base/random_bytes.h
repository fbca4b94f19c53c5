// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace pomona {

// `count` bytes nobody can foresee, from the kernel: for secrets. Throws Error{kInternal} where it gives
// none.
std::vector<unsigned char> random_bytes(std::size_t count);

}  // namespace pomona
