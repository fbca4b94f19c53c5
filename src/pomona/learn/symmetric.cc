// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/symmetric.h"

#include <algorithm>

// Arrays of vectors, which the kernels keep in registers, need vectors of a size known to the compiler.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pomona/learn/symmetric.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pomona::symmetric::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Lanes = HWY_CAPPED(double, 8);
using Vector = hn::Vec<Lanes>;
constexpr std::size_t kLanes = hn::MaxLanes(Lanes());

double dot_simd(const double* HWY_RESTRICT x, const double* HWY_RESTRICT y, std::size_t n) {
  const Lanes dv;
  Vector sum[4] = {hn::Zero(dv), hn::Zero(dv), hn::Zero(dv), hn::Zero(dv)};
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < 4; ++v) {
      sum[v] = hn::MulAdd(hn::LoadU(dv, x + i + v * kLanes), hn::LoadU(dv, y + i + v * kLanes), sum[v]);
    }
  }
  for (; i + kLanes <= n; i += kLanes)
    sum[0] = hn::MulAdd(hn::LoadU(dv, x + i), hn::LoadU(dv, y + i), sum[0]);
  double total = hn::GetLane(hn::SumOfLanes(dv, hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]))));
  for (; i < n; ++i) total += x[i] * y[i];
  return total;
}

void axpy_simd(double a, const double* HWY_RESTRICT x, double* HWY_RESTRICT y, std::size_t n) {
  const Lanes dv;
  const auto va = hn::Set(dv, a);
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    hn::StoreU(hn::MulAdd(va, hn::LoadU(dv, x + i), hn::LoadU(dv, y + i)), dv, y + i);
  for (; i < n; ++i) y[i] += a * x[i];
}

void add_product_simd(const double* a, std::size_t d, std::size_t begin, std::size_t end,
                      const double* HWY_RESTRICT x, double* HWY_RESTRICT y) {
  const Lanes dv;
  constexpr std::size_t kRows = 4;
  std::size_t i = begin;
  for (; i + kRows <= end; i += kRows) {
    const double* rows[kRows];
    Vector scale[kRows];
    Vector sum[kRows];
    double corner[kRows];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRows; ++r) {
      rows[r] = a + (i + r) * d;
      scale[r] = hn::Set(dv, x[i + r]);
      sum[r] = hn::Zero(dv);
      corner[r] = 0;
    }
    for (std::size_t r = 0; r < kRows; ++r) {
      corner[r] += rows[r][i + r] * x[i + r];
      for (std::size_t c = r + 1; c < kRows; ++c) {
        corner[r] += rows[r][i + c] * x[i + c];
        corner[c] += rows[r][i + c] * x[i + r];
      }
    }
    std::size_t j = i + kRows;
    for (; j + kLanes <= d; j += kLanes) {
      const auto vx = hn::LoadU(dv, x + j);
      auto vy = hn::LoadU(dv, y + j);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < kRows; ++r) {
        const auto va = hn::LoadU(dv, rows[r] + j);
        sum[r] = hn::MulAdd(va, vx, sum[r]);
        vy = hn::MulAdd(va, scale[r], vy);
      }
      hn::StoreU(vy, dv, y + j);
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRows; ++r) corner[r] += hn::GetLane(hn::SumOfLanes(dv, sum[r]));
    for (; j < d; ++j) {
      for (std::size_t r = 0; r < kRows; ++r) {
        corner[r] += rows[r][j] * x[j];
        y[j] += rows[r][j] * x[i + r];
      }
    }
    for (std::size_t r = 0; r < kRows; ++r) y[i + r] += corner[r];
  }
  for (; i < end; ++i) {
    const double* row = a + i * d;
    y[i] += row[i] * x[i] + dot_simd(row + i + 1, x + i + 1, d - i - 1);
    axpy_simd(x[i], row + i + 1, y + i + 1, d - i - 1);
  }
}

void subtract_product_simd(double* a, std::size_t d, std::size_t begin, std::size_t end, const double* l,
                           const double* r, std::size_t m) {
  const Lanes dv;
  constexpr std::size_t kRows = 4;
  // Three vectors of eight, or as many narrower ones in turn.
  constexpr std::size_t kVectors = 3;
  for (std::size_t i = begin; i < end; i += kRows) {
    const std::size_t height = std::min(kRows, end - i);
    const double* left[kRows];
    for (std::size_t k = 0; k < kRows; ++k) left[k] = l + (i + std::min(k, height - 1)) * m;
    for (std::size_t p = i / kPanel; p * kPanel < d; ++p) {
      const double* panel = r + p * kPanel * m;
      const std::size_t width = std::min(kPanel, d - p * kPanel);
      for (std::size_t v = 0; v < width; v += kVectors * kLanes) {
        Vector sum[kRows][kVectors];
#pragma GCC unroll 4
        for (std::size_t k = 0; k < kRows; ++k) {
#pragma GCC unroll 3
          for (std::size_t c = 0; c < kVectors; ++c) sum[k][c] = hn::Zero(dv);
        }
        for (std::size_t b = 0; b < m; ++b) {
          const double* row = panel + b * kPanel + v;
          const auto r0 = hn::LoadU(dv, row);
          const auto r1 = hn::LoadU(dv, row + kLanes);
          const auto r2 = hn::LoadU(dv, row + 2 * kLanes);
#pragma GCC unroll 4
          for (std::size_t k = 0; k < kRows; ++k) {
            const auto x = hn::Set(dv, left[k][b]);
            sum[k][0] = hn::MulAdd(x, r0, sum[k][0]);
            sum[k][1] = hn::MulAdd(x, r1, sum[k][1]);
            sum[k][2] = hn::MulAdd(x, r2, sum[k][2]);
          }
        }
        HWY_ALIGN double out[kRows][kVectors * kLanes];
#pragma GCC unroll 4
        for (std::size_t k = 0; k < kRows; ++k) {
#pragma GCC unroll 3
          for (std::size_t c = 0; c < kVectors; ++c) hn::StoreU(sum[k][c], dv, out[k] + c * kLanes);
        }
        const std::size_t count = std::min(kVectors * kLanes, width - v);
        for (std::size_t k = 0; k < height; ++k) {
          double* to = a + (i + k) * d + p * kPanel + v;
          for (std::size_t c = 0; c < count; ++c) to[c] -= out[k][c];
        }
      }
    }
  }
}

}  // namespace pomona::symmetric::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pomona::symmetric {

HWY_EXPORT(dot_simd);
HWY_EXPORT(axpy_simd);
HWY_EXPORT(add_product_simd);
HWY_EXPORT(subtract_product_simd);

double dot(const double* x, const double* y, std::size_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_simd)(x, y, n);
}

void axpy(double a, const double* x, double* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(axpy_simd)(a, x, y, n);
}

void add_product(const double* a, std::size_t d, std::size_t begin, std::size_t end, const double* x,
                 double* y) {
  HWY_DYNAMIC_DISPATCH(add_product_simd)(a, d, begin, end, x, y);
}

void subtract_product(double* a, std::size_t d, std::size_t begin, std::size_t end, const double* l,
                      const double* r, std::size_t m) {
  HWY_DYNAMIC_DISPATCH(subtract_product_simd)(a, d, begin, end, l, r, m);
}

}  // namespace pomona::symmetric
#endif  // HWY_ONCE
