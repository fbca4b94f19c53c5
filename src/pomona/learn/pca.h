// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/learn/moments.h"

namespace pomona {

struct PcaOptions {
  std::optional<int> k = {};            // number of components
  std::optional<double> variance = {};  // else the least k that explains this share, 0 < variance <= 1
  bool center =
      true;  // transform subtracts the mean, as scikit-learn does; Spark MLlib does not. W is the same.
  int threads = 1;  // changes the time, not the result
};

// An exact PCA. y = (x - mean) W^T with W k x d; rows of W are unit vectors, each with its largest absolute
// loading positive. Equal to scikit-learn's PCA(svd_solver="covariance_eigh"); with center off, W equals
// Spark MLlib's principal components up to sign. Eigenvalues of the covariance (divisor n - 1).
// Value type; const members are thread-safe.
class Pca {
 public:
  // Throws Error{kUsage} where k > d or k > n, or n < 2.
  static Pca fit(const Moments& moments, const PcaOptions& options);

  // For n <= d (where n > d it does what fit does; for example VGG16 without pooling, d = 25,088): exact too,
  // from the n x n matrix of inner products, never a d x d one. `x` is n x d. The spectrum then has n values,
  // the rest being zero.
  static Pca fit_wide(std::span<const float> x, std::size_t n, int d, const PcaOptions& options);

  int d() const { return d_; }
  int k() const { return k_; }
  bool center() const { return center_; }
  std::uint64_t n() const { return n_; }
  std::span<const float> mean() const { return mean_; }              // d (zeros where center is off)
  std::span<const float> components() const { return components_; }  // k x d
  std::span<const double> spectrum() const { return spectrum_; }     // all eigenvalues, descending
  double explained() const;  // share of the variance in the k components

  // y: rows x k, from x: rows x d. A row's result does not depend on the rows around it, nor on threads.
  void transform(std::span<const float> x, std::size_t rows, std::span<float> y, int threads = 1) const;

  // The same PCA with fewer components.
  Pca truncated(int k) const;

  // A PCA whose arrays were kept elsewhere (a model file): mean d, components k x d, spectrum at least k
  // values. Throws Error{kFormat} where the sizes do not fit or a value is no number.
  static Pca from_parts(std::uint64_t n, bool center, std::vector<float> mean, std::vector<float> components,
                        std::vector<double> spectrum);

  // Free-form record kept in the file (the fingerprint of the features it was fitted on).
  nlohmann::json record;

  // Portable file: magic, version, header JSON, arrays, checksum.
  std::string serialize() const;
  static Pca deserialize(std::string_view bytes);  // Throws Error{kFormat}.

 private:
  int d_ = 0;
  int k_ = 0;
  std::uint64_t n_ = 0;
  bool center_ = true;
  std::vector<float> mean_;
  std::vector<float> components_;
  std::vector<double> spectrum_;
};

}  // namespace pomona
