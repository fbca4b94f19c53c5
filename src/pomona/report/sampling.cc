// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/sampling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"

namespace pomona {
namespace {

constexpr std::size_t kSmallStratum = 20;
constexpr std::size_t kSketch = 1024;

// Linear interpolation between the two nearest, as NumPy's default.
double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

std::vector<std::size_t> stratified_quota(std::span<const std::uint64_t> sizes, std::size_t most) {
  std::vector<std::size_t> quota(sizes.size(), 0);
  const auto total = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
  if (total <= most) {
    std::ranges::transform(sizes, quota.begin(), [](std::uint64_t n) { return static_cast<std::size_t>(n); });
    return quota;
  }
  // At most half of the places go to the floor, so that proportions stay visible.
  const auto filled =
      static_cast<std::size_t>(std::ranges::count_if(sizes, [](std::uint64_t n) { return n > 0; }));
  const std::size_t floor = std::min(kSmallStratum, most / (2 * filled));
  std::size_t given = 0;
  std::uint64_t left = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    quota[i] = static_cast<std::size_t>(std::min<std::uint64_t>(sizes[i], floor));
    given += quota[i];
    left += sizes[i] - quota[i];
  }
  const std::size_t places = most - given;
  std::vector<std::pair<double, std::size_t>> remainders;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const double share =
        static_cast<double>(places) * static_cast<double>(sizes[i] - quota[i]) / static_cast<double>(left);
    const auto whole = static_cast<std::size_t>(share);
    remainders.emplace_back(share - static_cast<double>(whole), i);
    quota[i] += whole;
    given += whole;
  }
  std::ranges::sort(remainders, std::greater<>());
  for (const auto& [remainder, i] : remainders) {
    if (given >= most) break;
    if (quota[i] < sizes[i]) {
      ++quota[i];
      ++given;
    }
  }
  return quota;
}

std::uint64_t random_priority(std::string_view path, std::uint64_t seed) {
  std::string text(sizeof seed, '\0');
  std::memcpy(text.data(), &seed, sizeof seed);
  text += path;
  const ContentHash hash = content_hash(std::as_bytes(std::span(text)));
  std::uint64_t priority = 0;
  std::memcpy(&priority, hash.data(), sizeof priority);
  return priority;
}

StratifiedSampler::StratifiedSampler(std::span<const std::uint64_t> sizes, std::size_t most,
                                     std::uint64_t seed)
    : quota_(stratified_quota(sizes, most)), heaps_(sizes.size()), seed_(seed) {}

void StratifiedSampler::offer(std::string_view path, std::size_t stratum, std::span<const float> values) {
  if (stratum >= quota_.size()) throw Error(ErrorCode::kInternal, "A row of a stratum that was not counted.");
  const std::size_t quota = quota_[stratum];
  if (quota == 0) return;
  auto& heap = heaps_[stratum];
  const std::uint64_t priority = random_priority(path, seed_);
  const auto less = [](const SampledRow& a, const SampledRow& b) { return a.priority < b.priority; };
  if (heap.size() == quota) {
    if (priority >= heap.front().priority) return;
    std::ranges::pop_heap(heap, less);
    heap.pop_back();
  }
  heap.push_back({priority, std::string(path), {values.begin(), values.end()}});
  std::ranges::push_heap(heap, less);
}

std::vector<std::vector<SampledRow>> StratifiedSampler::take() {
  for (auto& heap : heaps_) {
    std::ranges::sort(heap, [](const SampledRow& a, const SampledRow& b) {
      return std::tie(a.priority, a.path) < std::tie(b.priority, b.path);
    });
  }
  return std::move(heaps_);
}

void SizeSketch::add(double value, std::uint64_t priority) {
  minimum_ = kept_.empty() ? value : std::min(minimum_, value);
  maximum_ = kept_.empty() ? value : std::max(maximum_, value);
  if (kept_.size() == kSketch) {
    if (priority >= kept_.front().first) return;
    std::ranges::pop_heap(kept_);
    kept_.pop_back();
  }
  kept_.emplace_back(priority, value);
  std::ranges::push_heap(kept_);
}

SizeQuantiles SizeSketch::quantiles() const {
  if (kept_.empty()) return {};
  std::vector<double> sorted;
  sorted.reserve(kept_.size());
  for (const auto& [priority, value] : kept_) sorted.push_back(value);
  std::ranges::sort(sorted);
  return {minimum_, quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75), maximum_};
}

void EndsKeeper::offer(float value, const std::string& path) {
  if (!std::isfinite(value) || each_ == 0) return;
  // Ties go by path, so that the order of the rows does not matter.
  const auto inner_low = [](const Photo& a, const Photo& b) {
    return std::tie(a.value, a.path) < std::tie(b.value, b.path);
  };
  const auto inner_high = [](const Photo& a, const Photo& b) {
    return std::tie(b.value, a.path) < std::tie(a.value, b.path);
  };
  const auto keep = [&](std::vector<Photo>& heap, auto inner) {
    if (heap.size() == each_) {
      const Photo& innermost = heap.front();
      const bool tie = value == innermost.value;
      if (tie ? path >= innermost.path : !inner(Photo{value, {}}, Photo{innermost.value, {}})) return;
      std::ranges::pop_heap(heap, inner);
      heap.pop_back();
    }
    heap.push_back({value, path});
    std::ranges::push_heap(heap, inner);
  };
  keep(low_, inner_low);
  keep(high_, inner_high);
}

namespace {

template <typename Photos, typename Before>
std::vector<std::string> spread(Photos photos, std::size_t most, Before outermost_first) {
  std::ranges::sort(photos, outermost_first);
  std::vector<std::string> paths;
  const std::size_t n = std::min(most, photos.size());
  for (std::size_t i = 0; i < n; ++i) paths.push_back(photos[i * photos.size() / n].path);
  return paths;
}

}  // namespace

std::vector<std::string> EndsKeeper::low(std::size_t most) const {
  return spread(low_, most, [](const Photo& a, const Photo& b) {
    return std::tie(a.value, a.path) < std::tie(b.value, b.path);
  });
}

std::vector<std::string> EndsKeeper::high(std::size_t most) const {
  return spread(high_, most, [](const Photo& a, const Photo& b) {
    return std::tie(b.value, a.path) < std::tie(a.value, b.path);
  });
}

}  // namespace pomona
