// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_sample.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "pomona/base/error.h"

namespace pomona {

PhotoSample sample_photos(const ListingOptions& listing, const SampleOptions& options, std::stop_token stop) {
  using std::chrono::steady_clock;
  require_separate_sources(listing);
  PhotoSample sample;
  std::mt19937_64 random(options.seed);
  const auto begin = steady_clock::now();
  list_photos(
      listing,
      [&](Entry&& entry) {
        ++sample.listed;
        sample.bytes += static_cast<double>(std::max<std::int64_t>(entry.bytes, 0));
        if (sample.photos.size() < options.most) {
          sample.photos.push_back(std::move(entry));
        } else if (const std::uint64_t at = random() % sample.listed; at < options.most) {
          sample.photos[at] = std::move(entry);
        }
        const double spent = std::chrono::duration<double>(steady_clock::now() - begin).count();
        sample.listed_all = spent < options.listing_seconds;
        return sample.listed_all && !stop.stop_requested();
      },
      stop);
  if (sample.photos.empty()) throw Error(ErrorCode::kNotFound, "no photos were found to take a sample of");
  std::ranges::sort(sample.photos, {}, &Entry::path);
  return sample;
}

}  // namespace pomona
