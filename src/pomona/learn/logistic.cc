// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <deque>

#include "pomona/learn/class_weights.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/dense.h"
#include "pomona/learn/parallel.h"
#include "pomona/learn/row_blocks.h"
#include "pomona/learn/softmax.h"
#include "pomona/learn/symmetric.h"

namespace pomona {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  return symmetric::dot(a.data(), b.data(), a.size());
}
void axpy(double a, const Vector& x, Vector& y) {
  symmetric::axpy(a, x.data(), y.data(), x.size());
}

// Up to so many bytes, the centred features are kept packed between evaluations, as one block; of more, a
// block at a time is packed anew in each, which takes time and saves a second copy of them all.
constexpr std::size_t kKeptBytes = 64U << 20;

// Features that spread less than this (root mean square about the mean) are taken as if they spread by 1. The
// penalty, and the tolerance, are for features as networks give them; smaller ones would never get weights.
constexpr double kSmallSpread = 1e-2;

// Mean loss + penalty and its slope, in centred features: z = f W (x - mean) + b, f = 1 but for small
// features. The optimum of W is the same as for the features as they are, and the bias no longer pulls at
// every weight.
class Objective {
 public:
  Objective(const TrainingSet& set, const TrainOptions& options)
      : set_(set),
        n_(set.n),
        d_(static_cast<std::size_t>(set.d)),
        classes_(set.labels.size()),
        threads_(options.threads),
        weights_(class_weights(set, options.balanced)),
        mean_(d_),
        shift_(d_),
        block_(n_ * d_ * sizeof(float) <= kKeptBytes ? n_ : kRowBlock),
        packed_(std::min(block_, n_), d_),
        logits_(std::min(block_, n_) * classes_),
        slope_(classes_ * d_) {
    const auto row_of = [&](std::size_t i) {
      return set.x.data() + (set.rows.empty() ? i : set.rows[i]) * d_;
    };
    const float* first = row_of(0);
    Vector squares(d_);  // about the first row: small numbers, however large the mean
    for (std::size_t i = 0; i < n_; ++i) {
      const float* row = row_of(i);
      for (std::size_t j = 0; j < d_; ++j) {
        const double off = static_cast<double>(row[j]) - static_cast<double>(first[j]);
        mean_[j] += static_cast<double>(row[j]);
        squares[j] += off * off;
      }
      total_ += weights_[label(i)];
    }
    set_factor(squares, first);
    for (std::size_t j = 0; j < d_; ++j) {
      shift_[j] = static_cast<float>(mean_[j] / static_cast<double>(n_));
      mean_[j] = static_cast<double>(shift_[j]);
    }
    penalty_ = 1 / (options.c * total_);
    if (block_ < n_) return;
    // One block: what is chosen of x is kept too.
    for_row_blocks(set.x, d_, set.rows, n_, block_, [&](std::span<const float> x, std::size_t, std::size_t) {
      pack(x, n_);
      if (!set.rows.empty()) chosen_.assign(x.begin(), x.end());
    });
  }

  std::size_t size() const { return classes_ * (d_ + 1); }
  double factor() const { return factor_; }

  // `at` and `slope`: W (classes x d), then b.
  double operator()(const Vector& at, Vector& slope) {
    const std::vector<float> rounded = weights_of(at);
    const dense::Packed by_class(dense::View::of(rounded, classes_, d_).transposed());
    const Vector bias = bias_of(at);
    slope.assign(size(), 0);
    double loss = 0;
    if (block_ < n_) {
      for_row_blocks(set_.x, d_, set_.rows, n_, block_,
                     [&](std::span<const float> x, std::size_t first, std::size_t count) {
                       pack(x, count);
                       loss += add_block(x, first, count, by_class, bias, slope);
                     });
    } else {
      loss = add_block(chosen_.empty() ? set_.x : chosen_, 0, n_, by_class, bias, slope);
    }
    for (std::size_t i = 0; i < classes_ * d_; ++i) slope[i] = factor_ * slope[i] + penalty_ * at[i];
    return loss + penalty_ / 2 * symmetric::dot(at.data(), at.data(), classes_ * d_);
  }

  // Folds the centring back.
  LinearHead head(const Vector& at) const {
    LinearHead head;
    head.weights = weights_of(at);
    const Vector bias = bias_of(at);
    head.bias.assign(bias.begin(), bias.end());
    return head;
  }

 private:
  std::size_t label(std::size_t i) const { return static_cast<std::size_t>(set_.y[i]); }

  void pack(std::span<const float> x, std::size_t count) {
    packed_.shrink_rows(count);
    run_ranges(packed_.panels(), threads_, [&](std::size_t begin, std::size_t end) {
      packed_.pack(dense::View::of(x, count, d_), shift_, begin, end);
    });
  }

  // The losses of rows first .. first + count - 1, which are x and stand centred in packed_; their slope is
  // added to `slope`.
  double add_block(std::span<const float> x, std::size_t first, std::size_t count,
                   const dense::Packed& by_class, const Vector& bias, Vector& slope) {
    const auto logits = std::span(logits_).first(count * classes_);
    dense::multiply(dense::View::of(x, count, d_), by_class, logits, threads_);

    // Losses are summed by blocks of rows of a fixed size, in order, whatever the threads.
    constexpr std::size_t kRows = 256;
    const std::size_t blocks = (count + kRows - 1) / kRows;
    Vector losses(blocks);
    Vector bias_slopes(blocks * classes_);
    run_ranges(blocks, threads_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t block = begin; block < end; ++block) {
        double* bias_slope = bias_slopes.data() + block * classes_;
        for (std::size_t i = block * kRows; i < std::min((block + 1) * kRows, count); ++i) {
          const auto row = logits.subspan(i * classes_, classes_);
          const std::size_t truth = label(first + i);
          for (std::size_t c = 0; c < classes_; ++c)
            row[c] = static_cast<float>(static_cast<double>(row[c]) + bias[c]);
          const auto own = static_cast<double>(row[truth]);
          const double weight = weights_[truth] / total_;
          losses[block] += weight * (softmax(row) - own);
          row[truth] -= 1;
          for (std::size_t c = 0; c < classes_; ++c) {
            row[c] *= static_cast<float>(weight);
            bias_slope[c] += static_cast<double>(row[c]);
          }
        }
      }
    });
    dense::multiply(dense::View::of(logits, count, classes_).transposed(), packed_, std::span(slope_),
                    threads_);
    for (std::size_t i = 0; i < classes_ * d_; ++i) slope[i] += slope_[i];
    double loss = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
      loss += losses[block];
      for (std::size_t c = 0; c < classes_; ++c)
        slope[classes_ * d_ + c] += bias_slopes[block * classes_ + c];
    }
    return loss;
  }

  // From the sums of rows in mean_ and of squares about the row `first`.
  void set_factor(const Vector& squares, const float* first) {
    const auto n = static_cast<double>(n_);
    double variance = 0;  // of all features together
    for (std::size_t j = 0; j < d_; ++j) {
      const double off = mean_[j] / n - static_cast<double>(first[j]);
      variance += std::max(0.0, squares[j] / n - off * off) / static_cast<double>(d_);
    }
    const double spread = std::sqrt(variance);
    // Nothing to learn from where nothing differs; above the smallest floats weights stay finite.
    if (spread < kSmallSpread && spread > 1e-30) factor_ = 1 / spread;
  }

  // W for the features as they are.
  std::vector<float> weights_of(const Vector& at) const {
    std::vector<float> weights(classes_ * d_);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(factor_ * at[i]);
    return weights;
  }

  // The bias for features that are not centred.
  Vector bias_of(const Vector& at) const {
    Vector bias(classes_);
    for (std::size_t c = 0; c < classes_; ++c) {
      bias[c] = at[classes_ * d_ + c] - factor_ * symmetric::dot(at.data() + c * d_, mean_.data(), d_);
    }
    return bias;
  }

  const TrainingSet& set_;
  std::size_t n_, d_, classes_;
  int threads_;
  Vector weights_;
  Vector mean_;
  std::vector<float> shift_;
  double total_ = 0;
  double penalty_ = 0;
  double factor_ = 1;
  std::size_t block_;          // rows taken at a time
  dense::Packed packed_;       // a block's centred features
  std::vector<float> chosen_;  // the only block's features, where they are not x as it is
  std::vector<float> logits_;  // block x classes
  std::vector<double> slope_;  // of a block
};

// The last steps and slope changes of L-BFGS.
class History {
 public:
  void add(Vector step, Vector change) {
    const double curvature = dot(step, change);
    if (curvature <= 1e-14 * dot(change, change)) return;
    if (pairs_.size() == kPairs) pairs_.pop_front();
    pairs_.push_back({std::move(step), std::move(change), 1 / curvature});
  }
  void clear() { pairs_.clear(); }
  bool empty() const { return pairs_.empty(); }

  // -H slope by the two-loop recursion.
  Vector direction(const Vector& slope) const {
    Vector q = slope;
    Vector alpha(pairs_.size());
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = pairs_[i].scale * dot(pairs_[i].step, q);
      axpy(-alpha[i], pairs_[i].change, q);
    }
    double scale = 1;
    if (!empty()) scale = 1 / (pairs_.back().scale * dot(pairs_.back().change, pairs_.back().change));
    for (double& value : q) value *= -scale;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = pairs_[i].scale * dot(pairs_[i].change, q);
      axpy(-alpha[i] - beta, pairs_[i].step, q);
    }
    return q;
  }

 private:
  static constexpr std::size_t kPairs = 12;
  struct Pair {
    Vector step, change;
    double scale;
  };
  std::deque<Pair> pairs_;
};

double largest(const Vector& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

}  // namespace

Classifier train_logistic(const TrainingSet& set, const TrainOptions& options) {
  check_training_set(set);
  Objective objective(set, options);
  Vector at(objective.size()), slope, next, next_slope;
  double loss = objective(at, slope);
  History history;
  int iterations = 0, evaluations = 1;
  int last_failure = -100;
  bool stuck = false;
  while (iterations < options.max_iterations && largest(slope) > options.tolerance && !stuck) {
    ++iterations;
    Vector direction = history.direction(slope);
    const double descent = dot(direction, slope);
    double step = history.empty() ? 1 / std::sqrt(dot(slope, slope)) : 1;
    // Enough decrease by backtracking; near the optimum, where float32 hides the decrease, the slope along
    // the way decides instead (Hager, Zhang 2005, approximate Wolfe conditions).
    bool accepted = false;
    // The first step knows nothing of the scale of the features yet.
    const int most_tries = iterations == 1 ? 60 : 12;
    for (int tries = 0; tries < most_tries && !accepted; ++tries) {
      next = at;
      axpy(step, direction, next);
      const double next_loss = objective(next, next_slope);
      ++evaluations;
      const bool hidden = std::abs(next_loss - loss) <= 1e-6 * std::abs(loss);
      accepted = next_loss <= loss + 1e-4 * step * descent ||
                 (hidden && std::abs(dot(next_slope, direction)) <= 0.9 * std::abs(descent));
      if (accepted) {
        loss = next_loss;
      } else {
        const double fit = -descent * step * step / (2 * (next_loss - loss - descent * step));
        step = std::clamp(fit, 0.1 * step, 0.6 * step);
      }
    }
    if (!accepted) {
      // Once more from the steepest slope; a second failure soon after means that float32 is exhausted.
      stuck = iterations - last_failure <= 10;
      last_failure = iterations;
      history.clear();
      continue;
    }
    Vector change = next_slope;
    axpy(-1, slope, change);
    for (double& value : direction) value *= step;
    history.add(std::move(direction), std::move(change));
    std::swap(at, next);
    std::swap(slope, next_slope);
  }
  Classifier out;
  out.kind = "logistic";
  out.d = set.d;
  out.labels = set.labels;
  out.head = objective.head(at);
  out.record = {{"iterations", iterations},
                {"evaluations", evaluations},
                {"loss", loss},
                {"slope", largest(slope)},
                {"converged", largest(slope) <= options.tolerance},
                {"c", options.c},
                {"balanced", options.balanced}};
  if (objective.factor() != 1) out.record["feature_scale"] = objective.factor();
  return out;
}

}  // namespace pomona
