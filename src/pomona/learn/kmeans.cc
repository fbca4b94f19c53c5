// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/kmeans.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "pomona/base/error.h"
#include "pomona/learn/dense.h"
#include "pomona/learn/neighbours.h"
#include "pomona/learn/parallel.h"
#include "pomona/learn/random.h"

namespace pomona {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kSlab = 512;  // rows whose values are summed apart, whatever the threads

struct Rows {
  std::span<const float> x;
  std::size_t n = 0;
  std::size_t d = 0;
  std::vector<double> lengths;  // n

  std::span<const float> rows(std::size_t first, std::size_t count) const {
    return x.subspan(first * d, count * d);
  }
  std::span<const float> row(std::size_t i) const { return rows(i, 1); }
};

Rows checked_rows(Team& team, std::span<const float> x, std::size_t d) {
  if (d == 0 || x.size() % d != 0) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("Clusters of rows of {} values were asked of {} values in all: give whole rows.",
                            d, x.size()));
  }
  Rows rows{x, x.size() / d, d, std::vector<double>(x.size() / d)};
  team.ranges(rows.n, [&](std::size_t begin, std::size_t end) {
    const auto out = std::span(rows.lengths).subspan(begin, end - begin);
    pairs::square_norms(rows.rows(begin, end - begin), d, out);
    for (double& value : out) value = std::sqrt(value);
  });
  for (std::size_t i = 0; i < rows.n; ++i) {
    if (std::isfinite(rows.lengths[i])) continue;
    throw Error(ErrorCode::kFormat,
                fmt::format("Row {} has a value that is NaN or infinite: write the features "
                            "again or leave the row out.",
                            i));
  }
  return rows;
}

Team team_for(std::size_t rows, int threads) {
  const auto most = static_cast<int>(std::min<std::size_t>(rows / 64 + 1, 1024));
  return Team(std::clamp(threads, 1, most));
}

// One restart.
struct Run {
  std::size_t k = 0;
  std::vector<float> centres;      // k x d
  std::vector<int> of;             // n: the cluster of each row, -1 at first
  std::vector<std::size_t> sizes;  // k
  std::size_t moved = 0;           // rows that changed in the last iteration
  int iterations = 0;
};

// -------- seeds

// Draws row i with probability weight[i] / sum; slab_sums are the sums of kSlab weights each. A weight of 0
// is never drawn.
std::size_t draw(std::span<const double> weights, std::span<const double> slab_sums, double at) {
  double sum = 0;
  std::size_t slab = 0;
  while (slab + 1 < slab_sums.size() && sum + slab_sums[slab] <= at) sum += slab_sums[slab++];
  for (std::size_t i = slab * kSlab; i < weights.size(); ++i) {
    sum += weights[i];
    if (weights[i] > 0 && sum > at) return i;
  }
  std::size_t last = weights.size() - 1;  // rounding has left `at` at the very end
  while (last > 0 && !(weights[last] > 0)) --last;
  return last;
}

// The rows to start from: k, or as many as there are different rows where these are fewer.
std::vector<std::size_t> seed_rows(Team& team, const Rows& x, std::size_t k, Random random) {
  const std::size_t slabs = (x.n + kSlab - 1) / kSlab;
  const auto draws = 2 + static_cast<std::size_t>(std::log(static_cast<double>(k)));
  std::vector<double> nearest(x.n, kInfinity);  // squared distance to the nearest seed
  std::vector<double> distances(x.n * draws);
  std::vector<double> sums(slabs * draws);
  std::vector<double> slab_sums(slabs);
  std::vector<float> points;
  std::vector<std::size_t> drawn = {random.below(x.n)};
  std::vector<std::size_t> seeds;
  for (;;) {
    const std::size_t count = drawn.size();
    points.clear();
    for (const std::size_t i : drawn) points.insert(points.end(), x.row(i).begin(), x.row(i).end());
    team.ranges(slabs, [&](std::size_t begin, std::size_t end) {
      for (std::size_t s = begin; s < end; ++s) {
        const std::size_t first = s * kSlab;
        const std::size_t rows = std::min(kSlab, x.n - first);
        const auto out = std::span(distances).subspan(first * count, rows * count);
        pairs::square_distances(x.rows(first, rows), points, x.d, out);
        for (std::size_t c = 0; c < count; ++c) {
          double sum = 0;
          for (std::size_t r = 0; r < rows; ++r) sum += std::min(nearest[first + r], out[r * count + c]);
          sums[s * count + c] = sum;
        }
      }
    });
    std::size_t best = 0;
    double least = kInfinity;
    for (std::size_t c = 0; c < count; ++c) {
      double sum = 0;
      for (std::size_t s = 0; s < slabs; ++s) sum += sums[s * count + c];
      if (sum < least) {
        least = sum;
        best = c;
      }
    }
    seeds.push_back(drawn[best]);
    if (seeds.size() == k || !(least > 0)) return seeds;
    for (std::size_t i = 0; i < x.n; ++i) nearest[i] = std::min(nearest[i], distances[i * count + best]);
    for (std::size_t s = 0; s < slabs; ++s) slab_sums[s] = sums[s * count + best];
    drawn.clear();
    while (drawn.size() < draws) drawn.push_back(draw(nearest, slab_sums, random.uniform() * least));
  }
}

// -------- Lloyd

// The centres of several runs side by side, for one product with the rows. With b = c - shift,
// |x - c|^2 = |x - shift|^2 + (|b|^2 + 2 shift b) - 2 x b, where the first term does not matter. The shift,
// the mean of the centres, keeps b small and with it the error of the product.
struct Columns {
  dense::Packed packed;
  std::vector<double> offsets;  // |b|^2 + 2 shift b
  std::vector<double> longest;  // the largest |b| of each run
  double shift = 0;             // its length

  static Columns of(std::span<Run* const> runs, std::size_t d) {
    const std::size_t k = runs[0]->k;
    const std::size_t count = runs.size() * k;
    std::vector<double> mean(d);
    for (const Run* run : runs) {
      for (std::size_t i = 0; i < k * d; ++i) mean[i % d] += static_cast<double>(run->centres[i]);
    }
    std::vector<float> shift(d);
    for (std::size_t j = 0; j < d; ++j) shift[j] = static_cast<float>(mean[j] / static_cast<double>(count));
    std::vector<float> b;
    b.reserve(count * d);
    for (const Run* run : runs) {
      for (std::size_t i = 0; i < k * d; ++i) b.push_back(run->centres[i] - shift[i % d]);
    }
    std::vector<double> squares(count), offsets(count);
    pairs::square_norms(b, d, squares);
    pairs::dots(b, shift, d, offsets);
    double shift_square = 0;
    pairs::square_norms(shift, d, std::span(&shift_square, 1));
    std::vector<double> longest(runs.size());
    for (std::size_t c = 0; c < count; ++c) {
      offsets[c] = squares[c] + 2 * offsets[c];
      longest[c / k] = std::max(longest[c / k], std::sqrt(squares[c]));
    }
    return {dense::Packed(dense::View::of(b, count, d).transposed()), std::move(offsets), std::move(longest)};
  }
};

// By how much two scores may be wrong together: a run of kRun float32 operations errs by kRun 2^-24 of the
// sum of its absolute products at most, and a product counts twice in each of the two; b was rounded too.
double doubt(double length, double longest, double shift, std::size_t d) {
  constexpr double kProduct = 4 * static_cast<double>(dense::kRun) * 0x1p-24;
  const double size = length * longest;
  if (size > 1e37) return kInfinity;  // float32 products may overflow
  return kProduct * size + 0x1p-21 * (length + longest + shift) * longest +
         static_cast<double>(d) * 0x1p-140;  // the last for products that are lost near zero
}

// The nearest of the centres, given their scores.
int nearest_centre(std::span<const float> row, const Run& run, std::span<const double> scores,
                   double doubtful) {
  const auto best = static_cast<std::size_t>(std::ranges::min_element(scores) - scores.begin());
  const double limit = scores[best] + doubtful;
  if (std::ranges::count_if(scores, [&](double score) { return !(score > limit); }) == 1) {
    return static_cast<int>(best);
  }
  double least = kInfinity;
  std::size_t nearest = 0;
  for (std::size_t c = 0; c < run.k; ++c) {
    if (scores[c] > limit) continue;
    double distance = 0;
    const auto centre = std::span(run.centres).subspan(c * row.size(), row.size());
    pairs::square_distances(row, centre, row.size(), std::span(&distance, 1));
    if (distance < least) {
      least = distance;
      nearest = c;
    }
  }
  return static_cast<int>(nearest);
}

// Puts every row with its nearest centre, for all runs (of the same k) at once.
void assign_rows(Team& team, const Rows& x, std::span<Run* const> runs) {
  const Columns columns = Columns::of(runs, x.d);
  const std::size_t k = runs[0]->k;
  const std::size_t width = columns.offsets.size();
  const std::size_t chunk = std::clamp<std::size_t>((std::size_t{1} << 16) / width, 1, 32) * 8;
  std::vector<std::atomic<std::size_t>> moved(runs.size());
  team.ranges((x.n + chunk - 1) / chunk, [&](std::size_t begin, std::size_t end) {
    std::vector<double> scores(chunk * width);
    std::vector<std::size_t> changes(runs.size());
    for (std::size_t first = begin * chunk; first < std::min(end * chunk, x.n); first += chunk) {
      const std::size_t rows = std::min(chunk, x.n - first);
      dense::multiply(dense::View::of(x.rows(first, rows), rows, x.d), columns.packed,
                      std::span(scores).first(rows * width));
      for (std::size_t i = first; i < first + rows; ++i) {
        const auto row = std::span(scores).subspan((i - first) * width, width);
        for (std::size_t c = 0; c < width; ++c) row[c] = columns.offsets[c] - 2 * row[c];
        for (std::size_t r = 0; r < runs.size(); ++r) {
          const int to = nearest_centre(x.row(i), *runs[r], row.subspan(r * k, k),
                                        doubt(x.lengths[i], columns.longest[r], columns.shift, x.d));
          if (runs[r]->of[i] == to) continue;
          runs[r]->of[i] = to;
          ++changes[r];
        }
      }
    }
    for (std::size_t r = 0; r < runs.size(); ++r) moved[r] += changes[r];
  });
  for (std::size_t r = 0; r < runs.size(); ++r) runs[r]->moved = moved[r];
}

// Squared distance of each row to the centre of its cluster.
std::vector<double> distances_of(Team& team, const Rows& x, const Run& run) {
  std::vector<double> distances(x.n);
  team.ranges(x.n, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto centre = std::span(run.centres).subspan(static_cast<std::size_t>(run.of[i]) * x.d, x.d);
      pairs::square_distances(x.row(i), centre, x.d, std::span(&distances[i], 1));
    }
  });
  return distances;
}

// Counts the rows of each cluster, and gives an empty one the row farthest from its centre that does not
// leave another empty.
void fill_clusters(Team& team, const Rows& x, Run& run) {
  run.sizes.assign(run.k, 0);
  for (const int c : run.of) ++run.sizes[static_cast<std::size_t>(c)];
  if (std::ranges::find(run.sizes, std::size_t{0}) == run.sizes.end()) return;
  const auto distances = distances_of(team, x, run);
  std::vector<std::size_t> order(x.n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return distances[a] != distances[b] ? distances[a] > distances[b] : a < b;
  });
  auto next = order.begin();
  for (std::size_t c = 0; c < run.k; ++c) {
    if (run.sizes[c] > 0) continue;
    next = std::find_if(next, order.end(),
                        [&](std::size_t i) { return run.sizes[static_cast<std::size_t>(run.of[i])] > 1; });
    if (next == order.end()) return;
    --run.sizes[static_cast<std::size_t>(run.of[*next])];
    run.of[*next] = static_cast<int>(c);
    run.sizes[c] = 1;
    ++next;
  }
}

// Centres become the means of their rows. Threads share the columns, so that each sum has the order of rows.
void move_centres(Team& team, const Rows& x, Run& run) {
  std::vector<double> sums(run.k * x.d);
  team.ranges(x.d, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = 0; i < x.n; ++i) {
      const float* row = x.x.data() + i * x.d;
      double* sum = sums.data() + static_cast<std::size_t>(run.of[i]) * x.d;
      for (std::size_t j = begin; j < end; ++j) sum[j] += static_cast<double>(row[j]);
    }
  });
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::size_t size = run.sizes[i / x.d];
    if (size > 0) run.centres[i] = static_cast<float>(sums[i] / static_cast<double>(size));
  }
}

// Iterates each run until at most `settled` rows move, or it has had its number of iterations.
void iterate(Team& team, const Rows& x, std::vector<Run*> runs, std::size_t settled, int max_iterations) {
  for (;;) {
    std::erase_if(runs, [&](const Run* run) {
      return run->iterations > 0 && (run->moved <= settled || run->iterations >= max_iterations);
    });
    if (runs.empty()) return;
    assign_rows(team, x, runs);
    for (Run* run : runs) {
      ++run->iterations;
      if (run->moved == 0) continue;
      fill_clusters(team, x, *run);
      move_centres(team, x, *run);
    }
  }
}

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Numbers clusters by size, the largest first; of equal ones the one whose first row comes first.
void renumber(Run& run, std::size_t d) {
  std::vector<std::size_t> first(run.k, run.of.size());
  for (std::size_t i = run.of.size(); i-- > 0;) first[static_cast<std::size_t>(run.of[i])] = i;
  std::vector<std::size_t> order(run.k);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return run.sizes[a] != run.sizes[b] ? run.sizes[a] > run.sizes[b] : first[a] < first[b];
  });
  const Run old = run;
  std::vector<int> number(run.k);
  for (std::size_t c = 0; c < run.k; ++c) {
    number[order[c]] = static_cast<int>(c);
    run.sizes[c] = old.sizes[order[c]];
    std::copy_n(old.centres.begin() + static_cast<std::ptrdiff_t>(order[c] * d), d,
                run.centres.begin() + static_cast<std::ptrdiff_t>(c * d));
  }
  for (int& c : run.of) c = number[static_cast<std::size_t>(c)];
}

struct Clustering {
  std::size_t different = 0;  // rows, at most k
  KMeans result;              // where different == k
};

// Leaves the `count` runs of least inertia; of equal ones the earlier.
void keep_best(Team& team, const Rows& x, std::size_t count, std::vector<Run>& runs) {
  std::vector<std::pair<double, std::size_t>> order;
  for (const Run& run : runs) order.emplace_back(sum_of(distances_of(team, x, run)), order.size());
  std::ranges::sort(order);
  std::vector<Run> kept;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) {
    kept.push_back(std::move(runs[order[i].second]));
  }
  runs = std::move(kept);
}

std::vector<Run*> all_of(std::vector<Run>& runs) {
  std::vector<Run*> pointers;
  for (Run& run : runs) pointers.push_back(&run);
  return pointers;
}

// The best of all restarts. A few iterations show which quarter is worth going on with; those are compared
// again when hardly a row moves, and only the best goes on to the end.
Clustering cluster(Team& team, const Rows& x, int k, const KMeansOptions& options) {
  constexpr int kFirstIterations = 4;
  Random random(options.seed + static_cast<std::uint64_t>(k));
  std::vector<Run> runs(static_cast<std::size_t>(options.restarts));
  for (Run& run : runs) {
    run.k = static_cast<std::size_t>(k);
    run.of.assign(x.n, -1);
    const auto seeds = seed_rows(team, x, run.k, Random(random.next()));
    if (seeds.size() < run.k) return {seeds.size(), {}};
    for (const std::size_t i : seeds) run.centres.insert(run.centres.end(), x.row(i).begin(), x.row(i).end());
  }
  iterate(team, x, all_of(runs), 0, std::min(kFirstIterations, options.max_iterations));
  keep_best(team, x, (runs.size() + 3) / 4, runs);
  iterate(team, x, all_of(runs), x.n / 1000, options.max_iterations);
  keep_best(team, x, 1, runs);
  iterate(team, x, all_of(runs), 0, options.max_iterations);
  Run* const best = &runs[0];
  renumber(*best, x.d);
  KMeans result;
  result.d = x.d;
  result.k = k;
  result.inertia = sum_of(distances_of(team, x, *best));
  result.iterations = best->iterations;
  result.converged = best->moved == 0;
  result.centres = std::move(best->centres);
  result.assignments = std::move(best->of);
  result.sizes = std::move(best->sizes);
  return {best->k, std::move(result)};
}

// -------- the choice of k

std::vector<double> distances_between(const Rows& x, std::size_t row, std::size_t count) {
  std::vector<double> distances(count);
  pairs::square_distances(x.rows(0, count), x.row(row), x.d, distances);
  for (double& value : distances) value = std::sqrt(value);
  return distances;
}

// distances(i) gives the distances of row i to all rows.
template <typename Distances>
double mean_silhouette(Team& team, std::span<const int> clusters, const Distances& distances) {
  const auto k = static_cast<std::size_t>(std::ranges::max(clusters)) + 1;
  std::vector<std::size_t> sizes(k);
  for (const int c : clusters) ++sizes[static_cast<std::size_t>(c)];
  std::vector<double> values(clusters.size());
  team.ranges(clusters.size(), [&](std::size_t begin, std::size_t end) {
    std::vector<double> sums(k);
    for (std::size_t i = begin; i < end; ++i) {
      const auto own = static_cast<std::size_t>(clusters[i]);
      if (sizes[own] < 2) continue;
      const auto& row = distances(i);
      std::ranges::fill(sums, 0.0);
      for (std::size_t j = 0; j < clusters.size(); ++j) sums[static_cast<std::size_t>(clusters[j])] += row[j];
      double other = kInfinity;
      for (std::size_t c = 0; c < k; ++c) {
        if (c != own && sizes[c] > 0) other = std::min(other, sums[c] / static_cast<double>(sizes[c]));
      }
      const double within = sums[own] / static_cast<double>(sizes[own] - 1);
      const double larger = std::max(within, other);
      if (larger > 0 && larger < kInfinity) values[i] = (other - within) / larger;
    }
  });
  return sum_of(values) / static_cast<double>(values.size());
}

std::vector<KMeans::Trial> try_numbers(Team& team, const Rows& x, const KMeansOptions& options) {
  std::vector<std::size_t> order(x.n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random(options.seed).shuffle(std::span(order));
  order.resize(std::min(x.n, options.search_rows));
  std::vector<float> values;
  values.reserve(order.size() * x.d);
  for (const std::size_t i : order) values.insert(values.end(), x.row(i).begin(), x.row(i).end());
  const Rows sample = checked_rows(team, values, x.d);
  const std::size_t compared = std::min(sample.n, options.silhouette_rows);
  std::vector<std::vector<double>> distances(compared);
  team.ranges(compared, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) distances[i] = distances_between(sample, i, compared);
  });
  KMeansOptions fewer = options;  // enough to tell one k from another
  fewer.restarts = (options.restarts + 3) / 4;
  std::vector<KMeans::Trial> trials;
  for (int k = options.k_min; k <= options.k_max && static_cast<std::size_t>(k) < sample.n; ++k) {
    const Clustering trial = cluster(team, sample, k, fewer);
    if (trial.different < static_cast<std::size_t>(k)) break;
    const auto clusters = std::span(trial.result.assignments).first(compared);
    trials.push_back(
        {k, mean_silhouette(team, clusters, [&](std::size_t i) -> const auto& { return distances[i]; })});
  }
  return trials;
}

void check(const KMeansOptions& options) {
  const auto refuse = [](const std::string& message) { throw Error(ErrorCode::kUsage, message); };
  if (options.k && *options.k < 1)
    refuse(fmt::format("{} clusters were asked for: give at least 1.", *options.k));
  if (options.restarts < 1 || options.restarts > 1000 || options.max_iterations < 1) {
    refuse(fmt::format("{} restarts of at most {} iterations: give 1 to 1000 restarts of at least 1.",
                       options.restarts, options.max_iterations));
  }
  if (options.k) return;
  if (options.k_min < 2 || options.k_max < options.k_min) {
    refuse(
        fmt::format("The number of clusters cannot be chosen from {} to {}: give a range that starts at 2 or "
                    "above.",
                    options.k_min, options.k_max));
  }
  if (std::min(options.search_rows, options.silhouette_rows) <= static_cast<std::size_t>(options.k_max)) {
    refuse(fmt::format("Samples of {} and {} rows are too small to try {} clusters: give more rows.",
                       options.search_rows, options.silhouette_rows, options.k_max));
  }
}

}  // namespace

KMeans kmeans(std::span<const float> x, std::size_t d, const KMeansOptions& options) {
  check(options);
  Team team = team_for(d == 0 ? 0 : x.size() / d, options.threads);
  const Rows rows = checked_rows(team, x, d);
  if (rows.n == 0) throw Error(ErrorCode::kUsage, "There are no rows to cluster.");
  std::vector<KMeans::Trial> trials;
  int k = options.k.value_or(0);
  if (!options.k) {
    trials = try_numbers(team, rows, options);
    if (trials.empty()) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("No number of clusters from {} up can be chosen for {} rows, which are too few or "
                      "too much alike: give k.",
                      options.k_min, rows.n));
    }
    k = std::ranges::max_element(trials, {}, &KMeans::Trial::silhouette)->k;
  }
  const auto refuse = [&](std::size_t different, std::string_view kind) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{} clusters were asked for, but there are only {} {}rows: give a k of at most {}.", k,
                    different, kind, different));
  };
  if (static_cast<std::size_t>(k) > rows.n) refuse(rows.n, "");
  Clustering clustering = cluster(team, rows, k, options);
  if (clustering.different < static_cast<std::size_t>(k)) refuse(clustering.different, "different ");
  clustering.result.trials = std::move(trials);
  return std::move(clustering.result);
}

std::vector<int> KMeans::assign(std::span<const float> x, int threads) const {
  Team team = team_for(d == 0 ? 0 : x.size() / d, threads);
  const Rows rows = checked_rows(team, x, d);
  Run run;
  run.k = static_cast<std::size_t>(k);
  run.centres = centres;
  run.of.assign(rows.n, -1);
  Run* const runs[] = {&run};
  assign_rows(team, rows, runs);
  return std::move(run.of);
}

double silhouette(std::span<const float> x, std::size_t d, std::span<const int> clusters, int threads) {
  Team team = team_for(clusters.size(), threads);
  const Rows rows = checked_rows(team, x, d);
  if (rows.n != clusters.size() || rows.n == 0 || std::ranges::min(clusters) < 0 ||
      static_cast<std::size_t>(std::ranges::max(clusters)) >= rows.n) {
    throw Error(
        ErrorCode::kMismatch,
        fmt::format("A silhouette of {} rows needs as many cluster numbers, each from 0 to below the number "
                    "of rows; {} were given.",
                    rows.n, clusters.size()));
  }
  return mean_silhouette(team, clusters, [&](std::size_t i) { return distances_between(rows, i, rows.n); });
}

std::optional<double> purity(std::span<const int> clusters, std::span<const int> labels) {
  if (clusters.size() != labels.size()) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("A purity needs a label for each row: there are {} rows and {} labels.",
                            clusters.size(), labels.size()));
  }
  std::vector<std::pair<int, int>> pairs;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) pairs.emplace_back(clusters[i], labels[i]);
  }
  if (pairs.empty()) return std::nullopt;
  std::ranges::sort(pairs);
  std::size_t pure = 0, most = 0, equal = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const bool same_cluster = i > 0 && pairs[i].first == pairs[i - 1].first;
    equal = same_cluster && pairs[i].second == pairs[i - 1].second ? equal + 1 : 1;
    if (!same_cluster) pure += std::exchange(most, 0);
    most = std::max(most, equal);
  }
  return static_cast<double>(pure + most) / static_cast<double>(pairs.size());
}

}  // namespace pomona
