// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/image/decode.h"
#include "pomona/model/network.h"

namespace pomona {

// Pixels that someone else decoded and owns: 8 bits a channel, `row_bytes` from row to row.
struct RawPixels {
  int width = 0;     // pixels
  int height = 0;    // pixels
  int channels = 3;  // 1 = grey, 3 = RGB, 4 = RGB and an alpha that is dropped
  bool bgr = false;  // blue first, as OpenCV and Spark's image schema have it
  const std::uint8_t* pixels = nullptr;
  std::size_t row_bytes = 0;
};

// A photo that is here already: encoded bytes, pixels, or where it lies (a local path or a URI). The bytes
// and pixels must stay as they are until the call that takes them is over.
using PhotoSource = std::variant<std::span<const std::byte>, RawPixels, std::string>;

// Any photos in one call -> vectors, on the caller's machine, without a dataset: what notebooks, services and
// cluster workers need. Each thread keeps its decoder, resizer and lane from call to call. Equal to the bit
// to what featurize() writes for the same photos. Copies share network and lanes. Thread-safe.
class BatchFeaturizer {
 public:
  // `threads`: workers per call; 0 = cpu_budget().
  explicit BatchFeaturizer(Network network, int threads = 0);

  const Network& network() const;
  int threads() const;

  // vectors: photos.size() x d, row-major; a row whose photo is rejected is filled with NaN. What became of
  // each photo comes back in their order. Throws Error{kMismatch} on a wrong size of `vectors`, kIo where a
  // store as a whole is dead, kInternal, kCancelled.
  std::vector<Outcome<PhotoInfo>> featurize(std::span<const PhotoSource> photos, std::span<float> vectors,
                                            std::stop_token stop = {}) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pomona
