// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pomona {

struct KMeansOptions {
  std::optional<int> k = {};            // number of clusters; else chosen from k_min .. k_max
  int k_min = 2;                        // at least 2
  int k_max = 20;                       // fewer are tried where there are fewer rows
  int restarts = 32;                    // seedings; the better quarter goes on, the best is kept
  int max_iterations = 300;             // of one restart
  std::uint64_t seed = 1;               // of everything drawn
  std::size_t search_rows = 10'000;     // at most so many rows are clustered to choose k; more than k_max
  std::size_t silhouette_rows = 2'000;  // and at most so many of them compared pairwise; more than k_max
  int threads = 1;                      // changes the time, not the result
};

// Clusters of rows, the largest first. Value type; const members are thread-safe.
struct KMeans {
  struct Trial {
    int k = 0;
    double silhouette = 0;  // mean over the sample, -1 .. 1
  };

  std::size_t d = 0;
  int k = 0;
  std::vector<float> centres;      // k x d: means of their rows
  std::vector<int> assignments;    // n: 0 .. k - 1
  std::vector<std::size_t> sizes;  // k, none zero, descending
  double inertia = 0;              // sum of squared distances of rows to their centres
  int iterations = 0;              // of the restart that was kept
  bool converged = false;          // every row is with its nearest centre
  std::vector<Trial> trials;       // where k was chosen: every k tried, ascending

  // The nearest centre for each of other rows (rows x d); of equally near ones the lower
  // (in `assignments`, any of them).
  // Throws Error{kMismatch} for parts of a row, Error{kFormat} where a value is NaN or infinite.
  std::vector<int> assign(std::span<const float> x, int threads = 1) const;
};

// k-means of x (n x d, row-major). Seeds by greedy k-means++ (Arthur and Vassilvitskii: k-means++: The
// Advantages of Careful Seeding, SODA 2007; of 2 + ln k draws the best, as scikit-learn does), then Lloyd's
// iterations until no row moves. A cluster that loses all its rows gets the row farthest from its own centre.
// Distances are compared as in float64: where float32 products leave a doubt they are computed again. The
// result is the same, to the bit, for any number of threads and any CPU that has FMA.
//
// Where k is not given, it is the one of k_min .. k_max with the largest mean silhouette (Rousseeuw:
// Silhouettes, J. Comput. Appl. Math. 20, 1987); of equal ones the least. To compare them, a seeded uniform
// sample of search_rows rows is clustered with each k (with a quarter of the restarts), and the silhouette
// taken among silhouette_rows of them, the same rows for every k. Then all rows are clustered. A cluster too
// small for the sample is not seen there.
//
// Throws Error{kUsage} for options out of range, for k above the number of rows or of different rows (the
// message has that number), and where no k can be chosen; Error{kMismatch} for parts of a row; Error{kFormat}
// where a value is NaN or infinite.
KMeans kmeans(std::span<const float> x, std::size_t d, const KMeansOptions& options);

// Mean silhouette of all rows of x (n x d), by Euclidean distance: n^2 distances. The row of a cluster of one
// counts 0, and so do all where there is only one cluster. Throws Error{kMismatch} where sizes do not fit or
// a cluster is negative.
double silhouette(std::span<const float> x, std::size_t d, std::span<const int> clusters, int threads = 1);

// Share of the labelled rows whose label is the most frequent one of their cluster (Manning, Raghavan,
// Schuetze: Introduction to Information Retrieval, 2008, 16.3); nothing where no row is labelled. Both have n
// values; a negative label is none. It grows with the number of clusters: compare only at equal k. Throws
// Error{kMismatch} where sizes differ.
std::optional<double> purity(std::span<const int> clusters, std::span<const int> labels);

}  // namespace pomona
