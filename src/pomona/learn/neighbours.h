// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pomona {

struct Neighbour {
  std::uint64_t id = 0;   // the caller's number for the row
  double similarity = 0;  // cosine, -1 .. 1

  bool operator==(const Neighbour&) const = default;
};

// Exact search for the rows nearest to some queries by cosine: every row is compared, none is skipped.
// Blocks of rows are fed as they are read; only the best n per query are kept, so memory does not grow with
// the dataset. Sums are float64 in a fixed order, hence the answer is the same, to the bit, for any blocks,
// threads, merges and any CPU that has FMA. Rows equally near come by lower id. A row or query of zeros has
// cosine 0 to all. Value type; one thread at a time may change it, const members are thread-safe.
class NearestRows {
 public:
  // `queries`: count x d, row-major. n: rows wanted for each.
  // Throws Error{kUsage} where n, d or the number of queries is 0, Error{kMismatch} where queries.size() is
  // not a multiple of d, Error{kFormat} where a query is not finite.
  NearestRows(std::span<const float> queries, std::size_t d, std::size_t n);

  // Rows (rows x d) with ids first_id, first_id + 1, ...
  // Throws Error{kMismatch} where x.size() is not a multiple of d, Error{kFormat} where a value is NaN or
  // infinite (the message has the id of the first such row); then no row of the block was taken.
  void add(std::span<const float> x, std::uint64_t first_id, int threads = 1);
  // The same with an id for each row; ids should differ, since a row given twice may be answered twice.
  void add(std::span<const float> x, std::span<const std::uint64_t> ids, int threads = 1);

  // As if other's rows had been added here. Throws Error{kMismatch} where queries or n differ.
  void merge(const NearestRows& other);

  std::size_t d() const { return d_; }
  std::size_t n() const { return n_; }
  std::size_t queries() const { return best_.size(); }
  std::uint64_t rows_seen() const { return rows_seen_; }
  // The nearest rows, best first; fewer than n where fewer rows were fed. Throws Error{kUsage} where there is
  // no such query.
  std::vector<Neighbour> best(std::size_t query = 0) const;

 private:
  template <typename IdOf>
  void add_rows(std::span<const float> x, const IdOf& id_of, int threads);

  std::size_t d_ = 0;
  std::size_t n_ = 0;
  std::uint64_t rows_seen_ = 0;
  std::vector<float> queries_;                // q x d
  std::vector<double> squares_;               // q squared lengths
  std::vector<std::vector<Neighbour>> best_;  // q heaps, the worst on top
};

// The n rows of x (rows x d) nearest to one query (d values), best first; an id is the row's index.
std::vector<Neighbour> nearest_rows(std::span<const float> x, std::span<const float> query, std::size_t n,
                                    int threads = 1);

// Internal to learn/: measures between float32 rows in float64, on all SIMD targets of the CPU. The product
// of two float32 is exact in float64, and sums have one order on all CPUs: element i goes to partial sum
// i mod 16, and the 16 are added as a tree.
namespace pairs {

// out[r] = |x_r|^2. Finite exactly where the row is.
void square_norms(std::span<const float> x, std::size_t d, std::span<double> out);
// out (rows of x by rows of y) = x_r . y_s
void dots(std::span<const float> x, std::span<const float> y, std::size_t d, std::span<double> out);
// out (rows of x by rows of y) = |x_r - y_s|^2; exactly 0 for equal rows and for no others.
void square_distances(std::span<const float> x, std::span<const float> y, std::size_t d,
                      std::span<double> out);

}  // namespace pairs
}  // namespace pomona
