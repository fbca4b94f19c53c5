// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "pomona/storage/listing.h"

namespace pomona {

struct SampleOptions {
  std::uint64_t most = 256;     // photos
  double listing_seconds = 20;  // how long the listing may take
  std::uint64_t seed = 1;
};

struct PhotoSample {
  std::vector<Entry> photos;  // by path
  std::uint64_t listed = 0;
  bool listed_all = true;  // false where the time was up first
  double bytes = 0;        // of all that were listed
};

// Each photo listed is as likely to be in the sample, and memory holds the sample only (reservoir sampling,
// Vitter's algorithm R). Throws Error as list_photos() does, and Error{kNotFound} where there is no photo.
PhotoSample sample_photos(const ListingOptions& listing, const SampleOptions& options, std::stop_token stop);

}  // namespace pomona
