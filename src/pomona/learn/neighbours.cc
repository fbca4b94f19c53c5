// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/neighbours.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "pomona/base/error.h"
#include "pomona/learn/parallel.h"

// Partial sums are kept in arrays of vectors, which need vectors of a size known to the compiler.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pomona/learn/neighbours.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace pomona::pairs::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kSums = 16;
using Doubles = HWY_CAPPED(double, 8);
using Floats = hn::Rebind<float, Doubles>;
constexpr std::size_t kLanes = hn::MaxLanes(Doubles());
constexpr std::size_t kVectors = kSums / kLanes;

struct Product {
  template <typename V>
  HWY_INLINE V operator()(V a, V b, V sum) const {
    return hn::MulAdd(a, b, sum);
  }
};

struct Distance {
  template <typename V>
  HWY_INLINE V operator()(V a, V b, V sum) const {
    const V difference = hn::Sub(a, b);
    return hn::MulAdd(difference, difference, sum);
  }
};

template <typename Measure>
HWY_INLINE double measure(const Measure& term, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                          std::size_t d) {
  const Doubles dd;
  const Floats df;
  hn::Vec<Doubles> sum[kVectors];
#pragma GCC unroll 16
  for (std::size_t v = 0; v < kVectors; ++v) sum[v] = hn::Zero(dd);
  std::size_t i = 0;
  for (; i + kSums <= d; i += kSums) {
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) {
      const auto x = hn::PromoteTo(dd, hn::LoadU(df, a + i + v * kLanes));
      const auto y = hn::PromoteTo(dd, hn::LoadU(df, b + i + v * kLanes));
      sum[v] = term(x, y, sum[v]);
    }
  }
  HWY_ALIGN double sums[kSums];
#pragma GCC unroll 16
  for (std::size_t v = 0; v < kVectors; ++v) hn::Store(sum[v], dd, sums + v * kLanes);
  const hn::CappedTag<double, 1> one;
  for (std::size_t s = 0; i < d; ++i, ++s) {
    const auto x = hn::Set(one, static_cast<double>(a[i]));
    const auto y = hn::Set(one, static_cast<double>(b[i]));
    sums[s] = hn::GetLane(term(x, y, hn::Set(one, sums[s])));
  }
  for (std::size_t half = kSums / 2; half > 0; half /= 2) {
    for (std::size_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  }
  return sums[0];
}

void square_norms(const float* x, std::size_t rows, std::size_t d, double* out) {
  for (std::size_t r = 0; r < rows; ++r) out[r] = measure(Product(), x + r * d, x + r * d, d);
}

void dots(const float* x, std::size_t rows, const float* y, std::size_t count, std::size_t d, double* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t s = 0; s < count; ++s) {
      out[r * count + s] = measure(Product(), x + r * d, y + s * d, d);
    }
  }
}

void square_distances(const float* x, std::size_t rows, const float* y, std::size_t count, std::size_t d,
                      double* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t s = 0; s < count; ++s) {
      out[r * count + s] = measure(Distance(), x + r * d, y + s * d, d);
    }
  }
}

}  // namespace pomona::pairs::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pomona {
namespace pairs {

HWY_EXPORT(square_norms);
HWY_EXPORT(dots);
HWY_EXPORT(square_distances);

void square_norms(std::span<const float> x, std::size_t d, std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(square_norms)(x.data(), x.size() / d, d, out.data());
}

void dots(std::span<const float> x, std::span<const float> y, std::size_t d, std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(dots)(x.data(), x.size() / d, y.data(), y.size() / d, d, out.data());
}

void square_distances(std::span<const float> x, std::span<const float> y, std::size_t d,
                      std::span<double> out) {
  HWY_DYNAMIC_DISPATCH(square_distances)(x.data(), x.size() / d, y.data(), y.size() / d, d, out.data());
}

}  // namespace pairs

namespace {

constexpr std::size_t kChunk = 64;  // rows measured at once; they stay in the cache for all queries

bool nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.id < b.id;
}

// A heap whose top is the worst of at most n.
void offer(std::vector<Neighbour>& heap, std::size_t n, const Neighbour& row) {
  if (heap.size() == n) {
    if (!nearer(row, heap.front())) return;
    std::ranges::pop_heap(heap, nearer);
    heap.back() = row;
  } else {
    heap.push_back(row);
  }
  std::ranges::push_heap(heap, nearer);
}

// From squared lengths: the root of their product is exact for a row and itself, whose cosine is then 1.
double cosine(double dot, double a, double b) {
  const double square = a * b;
  return square > 0 ? std::clamp(dot / std::sqrt(square), -1.0, 1.0) : 0.0;
}

}  // namespace

NearestRows::NearestRows(std::span<const float> queries, std::size_t d, std::size_t n)
    : d_(d), n_(n), queries_(queries.begin(), queries.end()) {
  if (n == 0) throw Error(ErrorCode::kUsage, "0 nearest rows were asked for: give at least 1.");
  if (d == 0 || queries.empty()) {
    throw Error(ErrorCode::kUsage,
                "A search for nearest rows needs at least one query of at least one value.");
  }
  if (queries.size() % d != 0) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("Queries of {} dimensions cannot have {} values in all: give whole rows.", d,
                            queries.size()));
  }
  squares_.resize(queries.size() / d);
  pairs::square_norms(queries_, d, squares_);
  for (std::size_t q = 0; q < squares_.size(); ++q) {
    if (!std::isfinite(squares_[q])) {
      throw Error(
          ErrorCode::kFormat,
          fmt::format("Query {} has a value that is NaN or infinite: there is no nearest row to it.", q));
    }
  }
  best_.resize(squares_.size());
}

template <typename IdOf>
void NearestRows::add_rows(std::span<const float> x, const IdOf& id_of, int threads) {
  const std::size_t rows = x.size() / d_;
  if (rows * d_ * queries() < 500'000) threads = 1;  // not worth a thread
  std::mutex mutex;
  std::size_t bad = rows;
  auto merged = best_;
  run_ranges(rows, threads, [&](std::size_t begin, std::size_t end) {
    std::vector<std::vector<Neighbour>> found(queries());
    std::vector<double> squares(kChunk);
    std::vector<double> products(kChunk * queries());
    for (std::size_t first = begin; first < end; first += kChunk) {
      const std::size_t count = std::min(kChunk, end - first);
      const auto chunk = x.subspan(first * d_, count * d_);
      pairs::square_norms(chunk, d_, squares);
      pairs::dots(chunk, queries_, d_, products);
      for (std::size_t r = 0; r < count; ++r) {
        if (!std::isfinite(squares[r])) {
          const std::scoped_lock lock(mutex);
          bad = std::min(bad, first + r);
          return;
        }
        for (std::size_t q = 0; q < queries(); ++q) {
          offer(found[q], n_,
                {id_of(first + r), cosine(products[r * queries() + q], squares[r], squares_[q])});
        }
      }
    }
    const std::scoped_lock lock(mutex);
    for (std::size_t q = 0; q < queries(); ++q) {
      for (const Neighbour& row : found[q]) offer(merged[q], n_, row);
    }
  });
  if (bad < rows) {
    throw Error(ErrorCode::kFormat,
                fmt::format("Row {} has a value that is NaN or infinite: write the features again or leave "
                            "the row out.",
                            id_of(bad)));
  }
  best_ = std::move(merged);
  rows_seen_ += rows;
}

void NearestRows::add(std::span<const float> x, std::uint64_t first_id, int threads) {
  if (x.size() % d_ != 0) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("A search in {} dimensions was given {} values: give whole rows.", d_, x.size()));
  }
  add_rows(x, [first_id](std::size_t row) { return first_id + row; }, threads);
}

void NearestRows::add(std::span<const float> x, std::span<const std::uint64_t> ids, int threads) {
  if (x.size() % d_ != 0 || x.size() / d_ != ids.size()) {
    throw Error(
        ErrorCode::kMismatch,
        fmt::format("A search in {} dimensions was given {} values for {} rows.", d_, x.size(), ids.size()));
  }
  add_rows(x, [ids](std::size_t row) { return ids[row]; }, threads);
}

void NearestRows::merge(const NearestRows& other) {
  if (other.d_ != d_ || other.n_ != n_ || other.queries_ != queries_) {
    throw Error(ErrorCode::kMismatch,
                "Two searches with different queries or numbers of rows cannot be merged.");
  }
  const auto theirs = other.best_;  // a copy, in case `other` is this one
  for (std::size_t q = 0; q < queries(); ++q) {
    for (const Neighbour& row : theirs[q]) offer(best_[q], n_, row);
  }
  rows_seen_ += other.rows_seen_;
}

std::vector<Neighbour> NearestRows::best(std::size_t query) const {
  if (query >= queries()) {
    throw Error(ErrorCode::kUsage, fmt::format("There is no query {}: there are {}.", query, queries()));
  }
  auto rows = best_[query];
  std::ranges::sort(rows, nearer);
  return rows;
}

std::vector<Neighbour> nearest_rows(std::span<const float> x, std::span<const float> query, std::size_t n,
                                    int threads) {
  NearestRows search(query, query.size(), n);
  search.add(x, std::uint64_t{0}, threads);
  return search.best();
}

}  // namespace pomona
#endif  // HWY_ONCE
