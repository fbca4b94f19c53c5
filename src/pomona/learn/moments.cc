// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/moments.h"

#include <fmt/format.h>

#include "pomona/base/error.h"
#include "pomona/learn/bytes.h"
#include "pomona/learn/dense.h"

namespace pomona {
namespace {

constexpr std::string_view kMagic = "POMOMENT";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMaxDimension = 1u << 20;

std::size_t triangle(int d) {
  const auto n = static_cast<std::size_t>(d);
  return n * (n + 1) / 2;
}

}  // namespace

Moments::Moments(int d)
    : d_(d), sum_(static_cast<std::size_t>(std::max(d, 0))), gram_(triangle(std::max(d, 0))) {
  if (d < 1) throw Error(ErrorCode::kUsage, fmt::format("Moments of {} dimensions: give at least 1.", d));
}

void Moments::add(std::span<const float> x, std::size_t rows, int threads) {
  if (x.size() != rows * static_cast<std::size_t>(d_)) {
    throw Error(
        ErrorCode::kMismatch,
        fmt::format("Moments of {} dimensions were given {} values for {} rows.", d_, x.size(), rows));
  }
  if (rows == 0) return;
  dense::add_moments(dense::View::of(x, rows, static_cast<std::size_t>(d_)), gram_, sum_, threads);
  n_ += rows;
}

void Moments::merge(const Moments& other) {
  if (other.d_ != d_) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("Moments of {} dimensions cannot be merged with moments of {}.", d_, other.d_));
  }
  n_ += other.n_;
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += other.sum_[i];
  for (std::size_t i = 0; i < gram_.size(); ++i) gram_[i] += other.gram_[i];
}

std::string Moments::serialize() const {
  ByteWriter out(kMagic, kVersion);
  out.number(static_cast<std::uint32_t>(d_));
  out.number(n_);
  out.array<double>(sum_);
  out.array<double>(gram_);
  return out.finish();
}

Moments Moments::deserialize(std::string_view bytes) {
  ByteReader in(bytes, kMagic, kVersion, "PCA moments");
  const auto d = in.number<std::uint32_t>();
  const auto n = in.number<std::uint64_t>();
  if (d < 1 || d > kMaxDimension) in.fail(fmt::format("a dimension of {}", d));
  Moments moments;
  moments.d_ = static_cast<int>(d);
  moments.n_ = n;
  moments.sum_ = in.array<double>(d);
  moments.gram_ = in.array<double>(triangle(moments.d_));
  in.finish();
  return moments;
}

}  // namespace pomona
