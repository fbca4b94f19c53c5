// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace pomona {

// Memory on cache lines, set to zero: what 512-bit registers load at once, and OpenVINO takes without a copy.
struct AlignedFree {
  // This is the owner. NOLINTNEXTLINE(cppcoreguidelines-no-malloc,cppcoreguidelines-owning-memory)
  void operator()(void* memory) const { std::free(memory); }
};

template <typename T>
using Aligned = std::unique_ptr<T[], AlignedFree>;

// Throws std::bad_alloc.
template <typename T>
Aligned<T> allocate_aligned(std::size_t count) {
  constexpr std::size_t kLine = 64;
  const std::size_t bytes = (count * sizeof(T) + kLine - 1) / kLine * kLine;
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory)
  T* memory = static_cast<T*>(std::aligned_alloc(kLine, bytes == 0 ? kLine : bytes));
  if (memory == nullptr) throw std::bad_alloc();
  std::uninitialized_fill_n(memory, count, T{});
  return Aligned<T>(memory);
}

}  // namespace pomona
