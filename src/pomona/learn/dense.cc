// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/dense.h"

#include <algorithm>
#include <cmath>

#include "pomona/learn/parallel.h"

// Arrays of vectors, which the kernels keep in registers, need vectors of a size known to the compiler.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pomona/learn/dense.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef POMONA_LEARN_DENSE_PART
#define POMONA_LEARN_DENSE_PART
namespace pomona::dense {
// A rectangle of C: rows, and panels of columns.
struct Part {
  std::size_t row_begin, row_end, panel_begin, panel_end;
};
}  // namespace pomona::dense
#endif

HWY_BEFORE_NAMESPACE();
namespace pomona::dense::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Lanes = HWY_CAPPED(float, 16);
constexpr std::size_t kLanes = hn::MaxLanes(Lanes());
constexpr std::size_t kVectors = 3;
constexpr std::size_t kTileRows = 8;
// As many rows as leave room in the registers: 8 x 3 of 32, or 4 x 3 of 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr std::size_t kRows = 8;
#else
constexpr std::size_t kRows = 4;
#endif

// out (kRows x kVectors vectors, row stride kPanel) (+)= A B over k terms of one run.
template <bool kFirst>
HWY_INLINE void run(const float* const* HWY_RESTRICT a, std::size_t a_step, const float* HWY_RESTRICT b,
                    std::size_t k, double* HWY_RESTRICT out) {
  const Lanes df;
#if HWY_TARGET != HWY_SCALAR
  const hn::Rebind<double, hn::Half<Lanes>> dd;
#endif
  hn::Vec<Lanes> sum[kRows][kVectors];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 3
    for (std::size_t v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(df);
  }
  for (std::size_t p = 0; p < k; ++p) {
    const float* row = b + p * Packed::kPanel;
    const auto b0 = hn::LoadU(df, row);
    const auto b1 = hn::LoadU(df, row + kLanes);
    const auto b2 = hn::LoadU(df, row + 2 * kLanes);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRows; ++i) {
      const auto x = hn::Set(df, a[i][p * a_step]);
      sum[i][0] = hn::MulAdd(x, b0, sum[i][0]);
      sum[i][1] = hn::MulAdd(x, b1, sum[i][1]);
      sum[i][2] = hn::MulAdd(x, b2, sum[i][2]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 3
    for (std::size_t v = 0; v < kVectors; ++v) {
      double* to = out + i * Packed::kPanel + v * kLanes;
#if HWY_TARGET == HWY_SCALAR
      *to = static_cast<double>(hn::GetLane(sum[i][v])) + (kFirst ? 0.0 : *to);
#else
      auto low = hn::PromoteTo(dd, hn::LowerHalf(sum[i][v]));
      auto high = hn::PromoteTo(dd, hn::UpperHalf(hn::Half<Lanes>(), sum[i][v]));
      if constexpr (!kFirst) {
        low = hn::Add(low, hn::LoadU(dd, to));
        high = hn::Add(high, hn::LoadU(dd, to + kLanes / 2));
      }
      hn::StoreU(low, dd, to);
      hn::StoreU(high, dd, to + kLanes / 2);
#endif
    }
  }
}

// out (+)= 8 rows of A times one panel of B over terms begin .. end - 1, in float64; `begin` is a multiple of
// kRun.
HWY_INLINE void tile(const float* const* a, std::size_t a_step, const float* panel, std::size_t begin,
                     std::size_t end, double* HWY_RESTRICT out) {
  for (std::size_t start = begin; start < end; start += kRun) {
    const std::size_t count = std::min(kRun, end - start);
    for (std::size_t i = 0; i < kTileRows; i += kRows) {
      const float* rows[kRows];
      for (std::size_t r = 0; r < kRows; ++r) rows[r] = a[i + r] + start * a_step;
      for (std::size_t j = 0; j < Packed::kPanel; j += kVectors * kLanes) {
        const float* b = panel + start * Packed::kPanel + j;
        double* to = out + i * Packed::kPanel + j;
        if (start == 0) {
          run<true>(rows, a_step, b, count, to);
        } else {
          run<false>(rows, a_step, b, count, to);
        }
      }
    }
  }
}

// Rows of one part of C. Terms go by pieces that leave a piece of the panel in the cache while several tiles
// pass.
template <typename Out>
void multiply_part(const View& a, const Packed& b, const Part& part, Out* c) {
  constexpr std::size_t kTiles = 8;
  constexpr std::size_t kPiece = 16 * kRun;
  constexpr std::size_t kTileSize = kTileRows * Packed::kPanel;
  HWY_ALIGN double out[kTiles * kTileSize];
  for (std::size_t p = part.panel_begin; p < part.panel_end; ++p) {
    const std::size_t first = p * Packed::kPanel;
    const std::size_t width = std::min(Packed::kPanel, b.cols() - first);
    for (std::size_t group = part.row_begin; group < part.row_end; group += kTiles * kTileRows) {
      const std::size_t group_end = std::min(group + kTiles * kTileRows, part.row_end);
      for (std::size_t k = 0; k < a.cols; k += kPiece) {
        for (std::size_t i = group; i < group_end; i += kTileRows) {
          const float* rows[kTileRows];
          for (std::size_t r = 0; r < kTileRows; ++r) {
            rows[r] = a.data + std::min(i + r, group_end - 1) * a.row_stride;
          }
          tile(rows, a.col_stride, b.panel(p), k, std::min(k + kPiece, a.cols),
               out + (i - group) / kTileRows * kTileSize);
        }
      }
      for (std::size_t i = group; i < group_end; ++i) {
        const double* from = out + (i - group) * Packed::kPanel;
        for (std::size_t j = 0; j < width; ++j) c[i * b.cols() + first + j] = static_cast<Out>(from[j]);
      }
    }
  }
}

void multiply_f32(const View& a, const Packed& b, const Part& part, float* c) {
  multiply_part(a, b, part, c);
}
void multiply_f64(const View& a, const Packed& b, const Part& part, double* c) {
  multiply_part(a, b, part, c);
}

// to[j] += from[j] + x u[j] + y v[j]
HWY_INLINE void add_row(const double* HWY_RESTRICT from, double x, const double* HWY_RESTRICT u, double y,
                        const double* HWY_RESTRICT v, std::size_t count, double* HWY_RESTRICT to) {
  const HWY_CAPPED(double, 8) d;
  const std::size_t lanes = hn::Lanes(d);
  const auto vx = hn::Set(d, x);
  const auto vy = hn::Set(d, y);
  std::size_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const auto undone = hn::MulAdd(vx, hn::LoadU(d, u + j), hn::LoadU(d, from + j));
    const auto whole = hn::MulAdd(vy, hn::LoadU(d, v + j), undone);
    hn::StoreU(hn::Add(hn::LoadU(d, to + j), whole), d, to + j);
  }
  const hn::CappedTag<double, 1> one;
  for (; j < count; ++j) {
    const auto undone = hn::MulAdd(hn::Set(one, x), hn::LoadU(one, u + j), hn::LoadU(one, from + j));
    const auto whole = hn::MulAdd(hn::Set(one, y), hn::LoadU(one, v + j), undone);
    hn::StoreU(hn::Add(hn::LoadU(one, to + j), whole), one, to + j);
  }
}

// With D = X - 1 m^T, s = D^T 1 and u = s + n m:  X^T X = D^T D + m u^T + s m^T.
void syrk_rows(const Packed& x, const double* m, const double* s, const double* u, std::size_t begin,
               std::size_t end, double* gram) {
  HWY_ALIGN double out[kTileRows * Packed::kPanel];
  const std::size_t d = x.cols();
  // Panels outside: one stays in the cache while the rows of tiles pass.
  for (std::size_t p = begin * kTileRows / Packed::kPanel; p < x.panels(); ++p) {
    const std::size_t last = std::min((p + 1) * Packed::kPanel, d);
    for (std::size_t i = begin * kTileRows; i < std::min(end * kTileRows, last); i += kTileRows) {
      const float* columns[kTileRows];
      for (std::size_t r = 0; r < kTileRows; ++r) {
        columns[r] = x.panel(i / Packed::kPanel) + i % Packed::kPanel + r;
      }
      // What the tile is added to lies far away in memory: fetched while the tile is computed.
      for (std::size_t row = i; row < std::min(i + kTileRows, d); ++row) {
        const double* to = gram + row * d - row * (row + 1) / 2;
        for (std::size_t j = std::max(row, p * Packed::kPanel); j < last; j += 8) hwy::Prefetch(to + j);
      }
      tile(columns, Packed::kPanel, x.panel(p), 0, x.rows(), out);
      for (std::size_t row = i; row < std::min(i + kTileRows, d); ++row) {
        const std::size_t j = std::max(row, p * Packed::kPanel);
        if (j >= last) continue;
        const double* from = out + (row - i) * Packed::kPanel + j - p * Packed::kPanel;
        add_row(from, m[row], u + j, s[row], m + j, last - j, gram + row * d - row * (row + 1) / 2 + j);
      }
    }
  }
}

}  // namespace pomona::dense::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pomona::dense {

HWY_EXPORT(multiply_f32);
HWY_EXPORT(multiply_f64);
HWY_EXPORT(syrk_rows);

Packed::Packed(const View& b, std::span<const float> shift, int threads) : rows_(b.rows), cols_(b.cols) {
  values_.resize(panels() * rows_ * kPanel);
  run_ranges(panels(), threads, [&](std::size_t begin, std::size_t end) { pack(b, shift, begin, end); });
}

void Packed::pack(const View& b, std::span<const float> shift, std::size_t begin, std::size_t end) {
  for (std::size_t p = begin; p < end; ++p) {
    const std::size_t first = p * kPanel;
    const std::size_t width = std::min(kPanel, cols_ - first);
    float* to = values_.data() + p * rows_ * kPanel;
    for (std::size_t r = 0; r < rows_; ++r, to += kPanel) {
      const float* from = b.data + r * b.row_stride + first * b.col_stride;
      for (std::size_t j = 0; j < width; ++j) {
        to[j] = shift.empty() ? from[j * b.col_stride] : from[j * b.col_stride] - shift[first + j];
      }
    }
  }
}

namespace {

// Threads share the longer side of C, in whole tiles or panels; a small product is not worth a thread.
template <typename Out, typename Kernel>
void multiply_with(const Kernel& kernel, const View& a, const Packed& b, std::span<Out> c, int threads) {
  constexpr std::size_t kTileRows = 8;
  if (a.cols == 0) std::ranges::fill(c, Out{0});
  if (a.rows == 0 || a.cols == 0) return;
  const std::size_t tiles = (a.rows + kTileRows - 1) / kTileRows;
  if (a.rows * a.cols * b.cols() < 1'000'000) threads = 1;
  const bool by_rows = tiles >= b.panels();
  run_ranges(by_rows ? tiles : b.panels(), threads, [&](std::size_t begin, std::size_t end) {
    if (by_rows) {
      kernel(a, b, Part{begin * kTileRows, std::min(end * kTileRows, a.rows), 0, b.panels()}, c.data());
    } else {
      kernel(a, b, Part{0, a.rows, begin, end}, c.data());
    }
  });
}

}  // namespace

void multiply(const View& a, const Packed& b, std::span<float> c, int threads) {
  multiply_with([](const auto&... call) { HWY_DYNAMIC_DISPATCH(multiply_f32)(call...); }, a, b, c, threads);
}

void multiply(const View& a, const Packed& b, std::span<double> c, int threads) {
  multiply_with([](const auto&... call) { HWY_DYNAMIC_DISPATCH(multiply_f64)(call...); }, a, b, c, threads);
}

void add_moments(const View& x, std::span<double> gram, std::span<double> sum, int threads) {
  constexpr std::size_t kTileRows = 8;
  const std::size_t d = x.cols;
  const std::size_t tiles = (d + kTileRows - 1) / kTileRows;
  std::vector<double> total(d), mean(d), rest(d);
  std::vector<float> shift(d);
  Packed packed(std::min(kSlice, x.rows), d);
  Team team(
      static_cast<int>(std::clamp<std::size_t>(static_cast<std::size_t>(std::max(threads, 1)), 1, tiles)));
  // Equal areas of the triangle for each thread, in whole rows of tiles: fewer rows at the wide end.
  const auto bound = [&](int part) {
    const double share = static_cast<double>(part) / team.size();
    return static_cast<std::size_t>(std::lround((1 - std::sqrt(1 - share)) * static_cast<double>(tiles)));
  };
  for (std::size_t start = 0; start < x.rows; start += kSlice) {
    const View slice = x.rows_from(start, std::min(kSlice, x.rows - start));
    const auto n = static_cast<double>(slice.rows);
    packed.shrink_rows(slice.rows);
    team.ranges(packed.panels(), [&](std::size_t begin, std::size_t end) {
      const std::size_t first = begin * Packed::kPanel;
      const std::size_t last = std::min(end * Packed::kPanel, d);
      std::fill(total.begin() + static_cast<std::ptrdiff_t>(first),
                total.begin() + static_cast<std::ptrdiff_t>(last), 0.0);
      for (std::size_t r = 0; r < slice.rows; ++r) {
        const float* row = slice.data + r * slice.row_stride;
        for (std::size_t j = first; j < last; ++j) total[j] += static_cast<double>(row[j * slice.col_stride]);
      }
      for (std::size_t j = first; j < last; ++j) {
        shift[j] = static_cast<float>(total[j] / n);
        mean[j] = static_cast<double>(shift[j]);
        rest[j] = total[j] - n * mean[j];
        sum[j] += total[j];
      }
      packed.pack(slice, shift, begin, end);
    });
    team.run([&](int part) {
      HWY_DYNAMIC_DISPATCH(syrk_rows)
      (packed, mean.data(), rest.data(), total.data(), bound(part), bound(part + 1), gram.data());
    });
  }
}

}  // namespace pomona::dense
#endif  // HWY_ONCE
