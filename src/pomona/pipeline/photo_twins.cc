// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_twins.h"

#include <algorithm>
#include <utility>

namespace pomona {

PhotoTwins::PhotoTwins(std::size_t d, std::size_t bytes)
    : d_(d), capacity_(std::max<std::size_t>(bytes / (d * sizeof(float)), 1)) {}

std::span<float> PhotoTwins::at(std::size_t place) {
  return {chunks_[place / kChunk].get() + place % kChunk * d_, d_};
}

PhotoTwins::Claim PhotoTwins::claim(const Content& content, Twin& photo, std::span<float> vector) {
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = photos_.try_emplace(content);
  if (fresh) return Claim::kCompute;
  Photo& first = found->second;
  if (!first.place) {
    first.waiting.push_back(std::move(photo));
    return Claim::kWait;
  }
  photo.info.width = first.size.width;
  photo.info.height = first.size.height;
  std::ranges::copy(at(*first.place), vector.begin());
  return Claim::kKnown;
}

std::vector<PhotoTwins::Twin> PhotoTwins::settle(const Content& content, const PhotoInfo& size,
                                                 std::span<const float> vector) {
  const std::lock_guard lock(mutex_);
  const std::size_t place = next_;
  next_ = (next_ + 1) % capacity_;
  if (place == owners_.size()) {
    if (place % kChunk == 0) {
      const std::size_t vectors = std::min(kChunk, capacity_ - place);
      chunks_.push_back(std::make_unique_for_overwrite<float[]>(vectors * d_));
    }
    owners_.push_back(content);
  } else {
    photos_.erase(std::exchange(owners_[place], content));
  }
  std::ranges::copy(vector, at(place).begin());
  Photo& photo = photos_.at(content);
  photo.size = size;
  photo.place = place;
  for (Twin& twin : photo.waiting) {
    twin.info.width = size.width;
    twin.info.height = size.height;
  }
  return std::exchange(photo.waiting, {});
}

std::vector<PhotoTwins::Twin> PhotoTwins::give_up(const Content& content) {
  const std::lock_guard lock(mutex_);
  const auto found = photos_.find(content);
  std::vector<Twin> waiting = std::move(found->second.waiting);
  photos_.erase(found);
  return waiting;
}

}  // namespace pomona
