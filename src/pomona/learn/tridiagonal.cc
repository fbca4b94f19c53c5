// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/tridiagonal.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "pomona/base/error.h"
#include "pomona/learn/random.h"
#include "pomona/learn/symmetric.h"

namespace pomona {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// The largest absolute value; or one that is NaN or infinite.
double norm_of(const Tridiagonal& t) {
  double norm = 0;
  for (const auto* values : {&t.diagonal, &t.beside}) {
    for (const double value : *values) {
      if (!std::isfinite(value)) return value;
      norm = std::max(norm, std::abs(value));
    }
  }
  return norm;
}

// One QL sweep over rows l .. m of the matrix with diagonal d and squared neighbours e2.
void sweep(std::vector<double>& d, std::vector<double>& e2, std::size_t l, std::size_t m) {
  const double root = std::sqrt(e2[l]);
  const double half = (d[l + 1] - d[l]) / (2 * root);
  const double shift = d[l] - root / (half + std::copysign(std::hypot(half, 1.0), half));
  double c = 1, s = 0;
  double gamma = d[m] - shift;
  double p = gamma * gamma;
  for (std::size_t i = m; i-- > l;) {
    const double square = e2[i];
    const double r = p + square;
    if (i + 1 != m) e2[i + 1] = s * r;
    const double old_c = c;
    // Two divisions that do not wait for each other, in place of three in a row.
    const double inverse = 1 / r;
    const double ratio = r / p;
    c = p * inverse;
    s = square * inverse;
    const double old_gamma = gamma;
    gamma = c * (d[i] - shift) - s * old_gamma;
    d[i + 1] = old_gamma + (d[i] - gamma);
    p = p != 0 ? gamma * gamma * ratio : old_c * square;
  }
  e2[l] = s * p;
  d[l] = shift + gamma;
}

// T - shift I as P L U by Gaussian elimination with partial pivoting, kept for several solves.
class Shifted {
 public:
  Shifted(const Tridiagonal& t, double shift, double tiny) : n_(t.diagonal.size()), rows_(n_) {
    double a = t.diagonal[0] - shift;
    double b = n_ > 1 ? t.beside[0] : 0;
    for (std::size_t i = 0; i < n_; ++i) {
      Row& row = rows_[i];
      if (i + 1 == n_) {
        row = {pivot(a, tiny), 0, 0, 0, false};
        break;
      }
      const double below = t.beside[i];
      const double next = t.diagonal[i + 1] - shift;
      const double after = i + 2 < n_ ? t.beside[i + 1] : 0;
      if (std::abs(a) >= std::abs(below)) {
        row = {pivot(a, tiny), b, 0, 0, false};
        row.factor = below / row.u0;
        a = next - row.factor * b;
        b = after;
      } else {
        row = {below, next, after, a / below, true};
        a = b - row.factor * next;
        b = -row.factor * after;
      }
    }
  }

  void solve(std::span<double> x) const {
    for (std::size_t i = 0; i + 1 < n_; ++i) {
      if (rows_[i].swapped) std::swap(x[i], x[i + 1]);
      x[i + 1] -= rows_[i].factor * x[i];
    }
    for (std::size_t i = n_; i-- > 0;) {
      double value = x[i];
      if (i + 1 < n_) value -= rows_[i].u1 * x[i + 1];
      if (i + 2 < n_) value -= rows_[i].u2 * x[i + 2];
      x[i] = value / rows_[i].u0;
    }
  }

 private:
  struct Row {
    double u0, u1, u2, factor;
    bool swapped;
  };
  static double pivot(double value, double tiny) {
    return std::abs(value) < tiny ? std::copysign(tiny, value) : value;
  }

  std::size_t n_;
  std::vector<Row> rows_;
};

void scale_to_unit(std::span<double> x) {
  double largest = 0;
  for (const double value : x) largest = std::max(largest, std::abs(value));
  for (double& value : x) value /= largest;
  const double length = std::sqrt(symmetric::dot(x.data(), x.data(), x.size()));
  for (double& value : x) value /= length;
}

double residual(const Tridiagonal& t, double value, std::span<const double> x) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double sum = (t.diagonal[i] - value) * x[i];
    if (i > 0) sum += t.beside[i - 1] * x[i - 1];
    if (i + 1 < x.size()) sum += t.beside[i] * x[i + 1];
    worst = std::max(worst, std::abs(sum));
  }
  return worst;
}

std::vector<double> by_full_iteration(const Tridiagonal& t, std::size_t k) {
  const auto n = static_cast<Eigen::Index>(t.diagonal.size());
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  solver.computeFromTridiagonal(Eigen::Map<const Eigen::VectorXd>(t.diagonal.data(), n),
                                Eigen::Map<const Eigen::VectorXd>(t.beside.data(), n - 1));
  std::vector<double> vectors;
  vectors.reserve(k * t.diagonal.size());
  for (std::size_t c = 0; c < k; ++c) {
    const auto column = solver.eigenvectors().col(n - 1 - static_cast<Eigen::Index>(c));
    vectors.insert(vectors.end(), column.begin(), column.end());
  }
  return vectors;
}

}  // namespace

std::vector<double> eigenvalues(const Tridiagonal& t) {
  std::vector<double> d = t.diagonal;
  const double norm = norm_of(t);
  if (norm == 0) return d;
  if (!std::isfinite(norm)) {
    throw Error(ErrorCode::kFormat,
                "A matrix with values that are no numbers has no eigenvalues: look for NaN or "
                "infinities among the features.");
  }
  for (double& value : d) value /= norm;
  std::vector<double> e2;
  for (const double value : t.beside) e2.push_back((value / norm) * (value / norm));

  const std::size_t n = d.size();
  std::size_t budget = 60 * n;
  for (std::size_t l = 0; l < n;) {
    std::size_t m = l;
    while (m + 1 < n && e2[m] > kEpsilon * kEpsilon * std::max(std::abs(d[m] * d[m + 1]), 1e-4)) ++m;
    if (m + 1 < n) e2[m] = 0;
    if (m == l) {
      ++l;
    } else if (budget-- > 0) {
      sweep(d, e2, l, m);
    } else {
      throw Error(ErrorCode::kInternal, "The eigenvalues did not converge.");
    }
  }
  std::ranges::sort(d, std::greater());
  for (double& value : d) value *= norm;
  return d;
}

std::vector<double> eigenvectors(const Tridiagonal& t, std::span<const double> values) {
  const std::size_t n = t.diagonal.size();
  const double norm = norm_of(t);
  std::vector<double> vectors(values.size() * n);
  if (norm == 0) {
    for (std::size_t c = 0; c < values.size(); ++c) vectors[c * n + c] = 1;
    return vectors;
  }
  const auto row = [&](std::size_t c) { return std::span(vectors).subspan(c * n, n); };
  Random random(1);
  bool good = true;
  for (std::size_t c = 0; c < values.size() && good; ++c) {
    const auto x = row(c);
    for (double& value : x) value = random.uniform() - 0.5;
    const Shifted shifted(t, values[c], kEpsilon * norm);
    std::size_t first = c;
    while (first > 0 && values[first - 1] - values[c] < 1e-3 * norm) --first;
    const auto orthogonalize = [&] {
      for (std::size_t other = first; other < c; ++other) {
        const double* base = vectors.data() + other * n;
        symmetric::axpy(-symmetric::dot(x.data(), base, n), base, x.data(), n);
      }
    };
    double rest = norm;
    for (int pass = 0; pass < 4 && (pass < 2 || rest > 1e-14 * norm); ++pass) {
      shifted.solve(x);
      scale_to_unit(x);
      orthogonalize();
      scale_to_unit(x);
      rest = residual(t, values[c], x);
    }
    orthogonalize();
    scale_to_unit(x);
    good = residual(t, values[c], x) < 1e-11 * norm;
    for (std::size_t other = 0; other < c && good; ++other) {
      good = std::abs(symmetric::dot(x.data(), vectors.data() + other * n, n)) < 1e-10;
    }
  }
  return good ? vectors : by_full_iteration(t, values.size());
}

}  // namespace pomona
