// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/spectral.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "pomona/learn/parallel.h"
#include "pomona/learn/symmetric.h"
#include "pomona/learn/tridiagonal.h"

namespace pomona {
namespace {

constexpr std::size_t kBlock = 16;   // columns reduced between two updates of the rest
constexpr std::size_t kChunks = 4;   // pieces of a product A x, fixed so that sums do not depend on threads
constexpr std::size_t kSmall = 192;  // below this size a product is one piece

// Reduces a symmetric matrix to T = Q^T A Q; Q is a product of reflectors I - tau v v^T, kept in A's rows.
class Reduction {
 public:
  Reduction(std::vector<double> matrix, std::size_t d, Team& team)
      : a_(std::move(matrix)),
        d_(d),
        team_(team),
        tau_(d),
        v_(kBlock * d),
        w_(kBlock * d),
        parts_(kChunks * d),
        left_(d * 2 * kBlock),
        right_((d + symmetric::kPanel) * 2 * kBlock) {
    t_.diagonal.resize(d);
    t_.beside.resize(d - 1);
    for (std::size_t start = 0; start < d; start += kBlock) {
      const std::size_t end = std::min(start + kBlock, d);
      for (std::size_t j = start; j < end; ++j) reduce_row(j, j - start);
      if (end < d) update_rest(start, end);
    }
  }

  const Tridiagonal& tridiagonal() const { return t_; }

  // x := Q x for each of the k rows of x.
  void apply(std::span<double> x) const {
    constexpr std::size_t kTogether = 8;  // vectors that share one reading of the reflectors
    const std::size_t k = x.size() / d_;
    team_.ranges((k + kTogether - 1) / kTogether, [&](std::size_t begin, std::size_t end) {
      for (std::size_t group = begin; group < end; ++group) {
        const std::size_t last = std::min((group + 1) * kTogether, k);
        for (std::size_t j = d_ - 1; j-- > 0;) {
          if (tau_[j] == 0) continue;
          const std::size_t n = d_ - j - 1;
          const double* v = a_.data() + j * d_ + j + 1;
          for (std::size_t c = group * kTogether; c < last; ++c) {
            double* to = x.data() + c * d_ + j + 1;
            symmetric::axpy(-tau_[j] * symmetric::dot(v, to, n), v, to, n);
          }
        }
      }
    });
  }

 private:
  // Brings row j up to date, turns it into a reflector, and finds what that does to the rest: column `b` of
  // V, W.
  void reduce_row(std::size_t j, std::size_t b) {
    double* row = a_.data() + j * d_;
    for (std::size_t c = 0; c < b; ++c) {
      symmetric::axpy(-v_[c * d_ + j], w_.data() + c * d_ + j, row + j, d_ - j);
      symmetric::axpy(-w_[c * d_ + j], v_.data() + c * d_ + j, row + j, d_ - j);
    }
    t_.diagonal[j] = row[j];
    double* v = v_.data() + b * d_;
    double* w = w_.data() + b * d_;
    std::fill(v, v + d_, 0.0);
    std::fill(w, w + d_, 0.0);
    if (j + 1 >= d_) return;
    const std::size_t first = j + 1;
    const std::size_t n = d_ - first;
    reflect(row + first, n, j);
    std::copy(row + first, row + d_, v + first);
    if (tau_[j] == 0) return;

    product(v, w, first, b);
    for (std::size_t c = 0; c < b; ++c) {
      symmetric::axpy(-dots_[2 * c], v_.data() + c * d_ + first, w + first, n);
      symmetric::axpy(-dots_[2 * c + 1], w_.data() + c * d_ + first, w + first, n);
    }
    for (std::size_t i = first; i < d_; ++i) w[i] *= tau_[j];
    const double half = 0.5 * tau_[j] * symmetric::dot(w + first, v + first, n);
    symmetric::axpy(-half, v + first, w + first, n);
  }

  // x becomes v with v[0] = 1, so that (I - tau v v^T) x = beside e1.
  void reflect(double* x, std::size_t n, std::size_t j) {
    double largest = 0;
    for (std::size_t i = 1; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
    const double head = x[0];
    if (largest == 0) {
      t_.beside[j] = head;
      x[0] = 1;
      return;
    }
    const double scale = std::max(largest, std::abs(head));
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) square += (x[i] / scale) * (x[i] / scale);
    const double beta = -std::copysign(scale * std::sqrt(square), head);
    tau_[j] = (beta - head) / beta;
    const double factor = 1 / (head - beta);
    for (std::size_t i = 1; i < n; ++i) x[i] *= factor;
    x[0] = 1;
    t_.beside[j] = beta;
  }

  // w = A v over the rows and columns from `first` on; dots = what v has in common with the b columns of W
  // and V.
  void product(const double* v, double* w, std::size_t first, std::size_t b) {
    const std::size_t n = d_ - first;
    const auto dots = [&](std::size_t begin, std::size_t end) {
      for (std::size_t c = begin; c < end; ++c) {
        const auto& other = c % 2 == 0 ? w_ : v_;
        dots_[c] = symmetric::dot(other.data() + c / 2 * d_ + first, v + first, n);
      }
    };
    if (n < kSmall) {
      symmetric::add_product(a_.data(), d_, first, d_, v, w);
      dots(0, 2 * b);
      return;
    }
    // Chunks of equal area: fewer rows at the wide end of the triangle.
    const auto bound = [&](std::size_t chunk) {
      const double share = 1 - std::sqrt(1 - static_cast<double>(chunk) / kChunks);
      return chunk == kChunks ? d_ : first + static_cast<std::size_t>(share * static_cast<double>(n)) / 4 * 4;
    };
    team_.ranges(kChunks, [&](std::size_t begin, std::size_t end) {
      for (std::size_t chunk = begin; chunk < end; ++chunk) {
        double* part = parts_.data() + chunk * d_;
        std::fill(part + first, part + d_, 0.0);
        symmetric::add_product(a_.data(), d_, bound(chunk), bound(chunk + 1), v, part);
      }
      dots(2 * b * begin / kChunks, 2 * b * end / kChunks);
    });
    for (std::size_t chunk = 0; chunk < kChunks; ++chunk) {
      symmetric::axpy(1, parts_.data() + chunk * d_ + first, w + first, n);
    }
  }

  // A -= V W^T + W V^T over the rows and columns from `end` on.
  void update_rest(std::size_t start, std::size_t end) {
    const std::size_t m = 2 * (end - start);
    const std::size_t half = end - start;
    for (std::size_t i = end; i < d_; ++i) {
      double* panel = right_.data() + i / symmetric::kPanel * symmetric::kPanel * m + i % symmetric::kPanel;
      for (std::size_t c = 0; c < half; ++c) {
        const double v = v_[c * d_ + i];
        const double w = w_[c * d_ + i];
        left_[i * m + c] = v;
        left_[i * m + half + c] = w;
        panel[c * symmetric::kPanel] = w;
        panel[(half + c) * symmetric::kPanel] = v;
      }
    }
    const std::size_t rows = d_ - end;
    const auto parts = static_cast<std::size_t>(team_.size());
    team_.run([&](int part) {
      const auto bound = [&](std::size_t p) {
        const double share = 1 - std::sqrt(1 - static_cast<double>(p) / static_cast<double>(parts));
        return p == parts ? d_ : end + static_cast<std::size_t>(share * static_cast<double>(rows)) / 4 * 4;
      };
      const auto p = static_cast<std::size_t>(part);
      symmetric::subtract_product(a_.data(), d_, bound(p), bound(p + 1), left_.data(), right_.data(), m);
    });
  }

  std::vector<double> a_;
  std::size_t d_;
  Team& team_;
  Tridiagonal t_;
  std::vector<double> tau_;
  std::vector<double> v_, w_;  // kBlock x d
  std::vector<double> parts_;  // kChunks x d
  std::array<double, 2 * kBlock> dots_{};
  std::vector<double> left_, right_;  // [V W] and [W V]^T for the update
};

}  // namespace

Spectral decompose(std::vector<double> matrix, std::size_t d,
                   const std::function<std::size_t(std::span<const double>)>& choose, int threads) {
  Team team(d < kSmall ? 1 : std::clamp(threads, 1, static_cast<int>(kChunks)));
  const Reduction reduction(std::move(matrix), d, team);
  Spectral out;
  out.values = eigenvalues(reduction.tridiagonal());
  out.vectors = eigenvectors(reduction.tridiagonal(), std::span(out.values).first(choose(out.values)));
  reduction.apply(out.vectors);
  return out;
}

}  // namespace pomona
