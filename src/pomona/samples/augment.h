// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/base/progress.h"
#include "pomona/image/image.h"
#include "pomona/samples/cut_out.h"

namespace pomona {

struct AugmentOptions {
  std::optional<std::string> backgrounds;  // folder (or URI) of photos to set the fruit on; none = textures
  int variants = 3;                        // of each photo
  std::uint64_t seed = 1;
  int size = 256;   // pixels a side of what is made
  int threads = 0;  // 0 = cpu_budget()
};

struct AugmentInput {
  std::string path;   // local or URI
  std::string label;  // any text
};

// One photo that was made.
struct AugmentedPhoto {
  std::string path;
  std::string label;
  std::size_t source = 0;  // index of its input: both belong on the same side of a split
};

struct AugmentResult {
  std::vector<AugmentedPhoto> photos;  // in order of input and variant
  std::uint64_t cut = 0;               // inputs that were cut out
  std::uint64_t no_white = 0;          // inputs left as they are: no white background
  std::uint64_t unreadable = 0;        // inputs that could not be read or decoded
  std::uint64_t bytes = 0;             // written
};

// "textures" -> {}, "backgrounds=DIR" -> DIR. Throws Error{kUsage}.
std::optional<std::string> parse_augment(const std::string& text);

// Sets the fruit on `background` (square, kept as it is): once or several times, at a random scale, place,
// angle and mirroring, with a shadow, in another light, as a phone's camera would take it (softness, noise).
// The same seed gives the same picture. May be called from any thread.
Image compose(const CutOut& fruit, const Image& background, std::uint64_t seed);

// Cuts the fruit of every photo off its white background and sets it on others:
// `dest`/<label>/<input>_<variant>.jpg, as many as `variants` of each input, so that a classifier learned
// from studio photos meets what phones take. Photos without a white background are counted and left.
// Characters of a label that no folder may have are written as %XX. The files are the same bytes for any
// number of threads; memory is bounded by the number of threads. Throws Error{kUsage}, Error{kExists} where
// `dest` holds anything, Error{kNotFound} where `backgrounds` holds no photo, Error{kFormat} where none of
// them can be decoded, Error{kIo | kPermission}, Error{kCancelled}.
AugmentResult augment_photos(const std::vector<AugmentInput>& inputs, const std::string& dest,
                             const AugmentOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
