// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/pca.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/learn/bytes.h"
#include "pomona/learn/dense.h"
#include "pomona/learn/parallel.h"
#include "pomona/learn/spectral.h"

namespace pomona {
namespace {

constexpr std::string_view kMagic = "POMONPCA";
constexpr std::uint32_t kVersion = 1;
constexpr std::int64_t kMaxDimension = 1 << 24;

void check(const PcaOptions& options, std::uint64_t n, int d) {
  if (n < 2) {
    throw Error(ErrorCode::kUsage, fmt::format("A PCA needs at least 2 rows; there are {}.", n));
  }
  if (options.k) {
    if (*options.k < 1 || *options.k > d || static_cast<std::uint64_t>(*options.k) > n) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} components asked for: {} rows of {} dimensions allow 1 to {}.", *options.k,
                              n, d, std::min<std::uint64_t>(n, static_cast<std::uint64_t>(d))));
    }
  } else if (options.variance && !(*options.variance > 0 && *options.variance <= 1)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("A share of {} of the variance was asked for: give a number above "
                            "0 and up to 1, for example 0.95.",
                            *options.variance));
  }
}

// The least k whose values reach `share` of their sum.
std::size_t count_for(std::span<const double> values, double share) {
  double total = 0;
  for (const double value : values) total += std::max(value, 0.0);
  double sum = 0;
  for (std::size_t k = 0; k < values.size(); ++k) {
    sum += std::max(values[k], 0.0);
    if (sum >= share * total) return k + 1;
  }
  return values.size();
}

// What decompose() asks: how many components, given all eigenvalues; never more than `most`.
auto chooser(const PcaOptions& options, std::size_t most) {
  return [options, most](std::span<const double> values) {
    if (options.k) return static_cast<std::size_t>(*options.k);
    return std::min(most, count_for(values, options.variance.value_or(1.0)));
  };
}

// Eigenvalues of a covariance; rounding may have left some of the zeros below zero.
std::vector<double> without_negatives(std::vector<double> values, double divisor) {
  for (double& value : values) value = std::max(value, 0.0) / divisor;
  return values;
}

// Rounds unit vectors (k x d) to float32, each with its largest absolute loading positive.
std::vector<float> with_signs(std::span<const double> vectors, std::size_t d) {
  std::vector<float> out(vectors.size());
  for (std::size_t start = 0; start < vectors.size(); start += d) {
    const auto row = vectors.subspan(start, d);
    const auto largest = std::ranges::max_element(row, {}, [](double value) { return std::abs(value); });
    const double sign = *largest < 0 ? -1 : 1;
    for (std::size_t j = 0; j < d; ++j) out[start + j] = static_cast<float>(sign * row[j]);
  }
  return out;
}

// Makes `row` a unit vector orthogonal to the rows before it; one without length becomes the first axis that
// has a part of its own.
void orthonormalize(std::span<double> rows, std::size_t index, std::size_t d, bool has_direction) {
  const auto row = rows.subspan(index * d, d);
  const auto clean = [&] {
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t other = 0; other < index; ++other) {
        const auto base = rows.subspan(other * d, d);
        double dot = 0;
        for (std::size_t j = 0; j < d; ++j) dot += row[j] * base[j];
        for (std::size_t j = 0; j < d; ++j) row[j] -= dot * base[j];
      }
    }
    double square = 0;
    for (const double value : row) square += value * value;
    const double length = std::sqrt(square);
    if (length > 0) {
      for (double& value : row) value /= length;
    }
    return length;
  };
  if (has_direction) {
    clean();
    return;
  }
  for (std::size_t axis = 0; axis < d; ++axis) {
    std::ranges::fill(row, 0.0);
    row[axis] = 1;
    if (clean() > 0.5 / std::sqrt(static_cast<double>(d))) return;
  }
}

}  // namespace

Pca Pca::fit(const Moments& moments, const PcaOptions& options) {
  check(options, moments.n(), moments.d());
  const auto d = static_cast<std::size_t>(moments.d());
  const auto n = static_cast<double>(moments.n());
  const auto sum = moments.sum();
  const auto gram = moments.gram();
  std::vector<double> covariance(d * d);  // its upper triangle is enough
  for (std::size_t i = 0, at = 0; i < d; ++i) {
    for (std::size_t j = i; j < d; ++j, ++at) {
      covariance[i * d + j] = (gram[at] - sum[i] * sum[j] / n) / (n - 1);
    }
  }
  const std::size_t most = std::min<std::size_t>(d, moments.n());
  Spectral spectral = decompose(std::move(covariance), d, chooser(options, most), options.threads);

  Pca pca;
  pca.d_ = moments.d();
  pca.n_ = moments.n();
  pca.center_ = options.center;
  pca.mean_.resize(d);
  if (options.center) {
    for (std::size_t j = 0; j < d; ++j) pca.mean_[j] = static_cast<float>(sum[j] / n);
  }
  pca.spectrum_ = without_negatives(std::move(spectral.values), 1);
  pca.k_ = static_cast<int>(spectral.vectors.size() / d);
  pca.components_ = with_signs(spectral.vectors, d);
  return pca;
}

Pca Pca::fit_wide(std::span<const float> x, std::size_t n, int d_int, const PcaOptions& options) {
  check(options, n, d_int);
  const auto d = static_cast<std::size_t>(d_int);
  if (x.size() != n * d) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("A PCA of {} rows of {} dimensions was given {} values.", n, d, x.size()));
  }
  if (n > d) {
    Moments moments(d_int);
    moments.add(x, n, options.threads);
    return fit(moments, options);
  }

  std::vector<double> mean(d);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) mean[j] += static_cast<double>(x[i * d + j]);
  }
  std::vector<float> shift(d);
  for (std::size_t j = 0; j < d; ++j) shift[j] = static_cast<float>(mean[j] /= static_cast<double>(n));

  // Inner products of the shifted rows, slice by slice of the dimensions, then centred exactly.
  std::vector<double> gram(n * (n + 1) / 2), unused(n);
  std::vector<float> block;
  for (std::size_t start = 0; start < d; start += dense::kSlice) {
    const std::size_t width = std::min(dense::kSlice, d - start);
    block.resize(width * n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < width; ++j) block[j * n + i] = x[i * d + start + j] - shift[start + j];
    }
    dense::add_moments(dense::View::of(block, width, n), gram, unused, options.threads);
  }
  std::vector<double> square(n * n), row_mean(n);
  for (std::size_t i = 0, at = 0; i < n; ++i) {
    for (std::size_t j = i; j < n; ++j, ++at) square[i * n + j] = square[j * n + i] = gram[at];
  }
  double grand = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) row_mean[i] += square[i * n + j] / static_cast<double>(n);
    grand += row_mean[i] / static_cast<double>(n);
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) square[i * n + j] += grand - row_mean[i] - row_mean[j];
  }
  Spectral spectral = decompose(std::move(square), n, chooser(options, n), options.threads);

  Pca pca;
  pca.d_ = d_int;
  pca.n_ = n;
  pca.center_ = options.center;
  pca.mean_ = options.center ? shift : std::vector<float>(d);
  pca.spectrum_ = without_negatives(std::move(spectral.values), static_cast<double>(n - 1));
  const std::size_t k = spectral.vectors.size() / n;
  pca.k_ = static_cast<int>(k);

  // w = X^T u, in float64, then unit length.
  std::vector<double> w(k * d);
  run_ranges(d, options.threads, [&](std::size_t begin, std::size_t end) {
    constexpr std::size_t kColumns = 512;
    std::vector<double> columns(kColumns);
    for (std::size_t start = begin; start < end; start += kColumns) {
      const std::size_t width = std::min(kColumns, end - start);
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < width; ++j) {
          columns[j] = static_cast<double>(x[i * d + start + j]) - mean[start + j];
        }
        for (std::size_t c = 0; c < k; ++c) {
          const double u = spectral.vectors[c * n + i];
          double* to = w.data() + c * d + start;
          for (std::size_t j = 0; j < width; ++j) to[j] += u * columns[j];
        }
      }
    }
  });
  const double floor = pca.spectrum_[0] * 1e-12;
  for (std::size_t c = 0; c < k; ++c) orthonormalize(w, c, d, pca.spectrum_[c] > floor);
  pca.components_ = with_signs(w, d);
  return pca;
}

double Pca::explained() const {
  double total = 0, kept = 0;
  for (std::size_t i = 0; i < spectrum_.size(); ++i) {
    total += spectrum_[i];
    if (i < static_cast<std::size_t>(k_)) kept += spectrum_[i];
  }
  return total > 0 ? kept / total : 1;
}

void Pca::transform(std::span<const float> x, std::size_t rows, std::span<float> y, int threads) const {
  const auto d = static_cast<std::size_t>(d_);
  const auto k = static_cast<std::size_t>(k_);
  if (x.size() != rows * d || y.size() != rows * k) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("A PCA from {} to {} dimensions was given {} values for {} rows, "
                            "and room for {}.",
                            d, k, x.size(), rows, y.size()));
  }
  const dense::Packed packed(dense::View::of(components_, k, d).transposed());
  constexpr std::size_t kBlock = 512;
  std::vector<float> centred;
  for (std::size_t start = 0; start < rows; start += kBlock) {
    const std::size_t count = std::min(kBlock, rows - start);
    auto block = x.subspan(start * d, count * d);
    if (center_) {
      centred.assign(block.begin(), block.end());
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < d; ++j) centred[i * d + j] -= mean_[j];
      }
      block = centred;
    }
    dense::multiply(dense::View::of(block, count, d), packed, y.subspan(start * k, count * k), threads);
  }
}

Pca Pca::truncated(int k) const {
  if (k < 1 || k > k_) {
    throw Error(ErrorCode::kUsage, fmt::format("{} components asked for of a PCA that holds {}.", k, k_));
  }
  Pca pca = *this;
  pca.k_ = k;
  pca.components_.resize(static_cast<std::size_t>(k) * static_cast<std::size_t>(d_));
  return pca;
}

std::string Pca::serialize() const {
  const nlohmann::json header = {
      {"d", d_},         {"k", k_}, {"n", n_}, {"center", center_}, {"spectrum", spectrum_.size()},
      {"record", record}};
  ByteWriter out(kMagic, kVersion);
  out.text(header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  out.array<float>(mean_);
  out.array<float>(components_);
  out.array<double>(spectrum_);
  return out.finish();
}

Pca Pca::deserialize(std::string_view bytes) {
  ByteReader in(bytes, kMagic, kVersion, "PCA");
  const auto header = parse_json(in.text());
  const auto number = [&](const char* name, std::int64_t most) {
    const auto found = header.is_object() ? header.find(name) : header.end();
    if (found == header.end() || !found->is_number_integer())
      in.fail(fmt::format("no {} in its header", name));
    const auto value = found->get<std::int64_t>();
    if (value < 1 || value > most) in.fail(fmt::format("{} {} in its header", name, value));
    return value;
  };
  Pca pca;
  const std::int64_t d = number("d", kMaxDimension);
  const std::int64_t k = number("k", d);
  const std::int64_t values = number("spectrum", d);
  pca.n_ = static_cast<std::uint64_t>(number("n", INT64_MAX));
  if (values < k) in.fail("fewer eigenvalues than components");
  const auto center = header.find("center");
  if (center == header.end() || !center->is_boolean()) in.fail("no center in its header");
  pca.center_ = center->get<bool>();
  pca.d_ = static_cast<int>(d);
  pca.k_ = static_cast<int>(k);
  if (header.contains("record")) pca.record = header["record"];
  pca.mean_ = in.array<float>(static_cast<std::uint64_t>(d));
  pca.components_ = in.array<float>(static_cast<std::uint64_t>(d * k));
  pca.spectrum_ = in.array<double>(static_cast<std::uint64_t>(values));
  in.finish();
  return pca;
}

Pca Pca::from_parts(std::uint64_t n, bool center, std::vector<float> mean, std::vector<float> components,
                    std::vector<double> spectrum) {
  const auto finite = [](const auto& values) {
    return std::ranges::all_of(values, [](auto value) { return value - value == 0; });
  };
  const std::size_t d = mean.size();
  const std::size_t k = d == 0 ? 0 : components.size() / d;
  if (d == 0 || d > static_cast<std::size_t>(kMaxDimension) || k == 0 || k > d ||
      components.size() != k * d || spectrum.size() < k || spectrum.size() > d || n < 2) {
    throw Error(ErrorCode::kFormat, fmt::format("not a PCA: {} means, {} loadings and {} eigenvalues do not "
                                                "fit together",
                                                d, components.size(), spectrum.size()));
  }
  if (!finite(mean) || !finite(components) || !finite(spectrum)) {
    throw Error(ErrorCode::kFormat, "not a PCA: it holds a value that is no number");
  }
  Pca pca;
  pca.d_ = static_cast<int>(d);
  pca.k_ = static_cast<int>(k);
  pca.n_ = n;
  pca.center_ = center;
  pca.mean_ = std::move(mean);
  pca.components_ = std::move(components);
  pca.spectrum_ = std::move(spectrum);
  return pca;
}

}  // namespace pomona
