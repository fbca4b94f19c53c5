// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pomona/base/progress.h"

namespace pomona {

enum class TurntableSizes : std::uint8_t {
  k100,       // 100 x 100 pixels, the fruit fitted into the frame, as in Fruits-360
  kOriginal,  // mixed sizes cut to the fruit, longer side 200 to 2,800 pixels, as in its original-size set
};

std::string_view to_string(TurntableSizes sizes);
TurntableSizes parse_turntable_sizes(std::string_view name);  // Throws Error{kUsage} that lists the names.

struct TurntableOptions {
  std::uint64_t count = 3'000;  // photos over all classes; each class gets the same number, give or take one
  TurntableSizes sizes = TurntableSizes::k100;
  std::uint64_t seed = 1;  // of scale, place, light and noise
  int threads = 0;         // 0 = cpu_budget()
  int quality = 92;        // of the JPEGs
  // Folders of transparent PNG cut-outs, one class a picture: Debian's tuxpaint-stamps-default.
  std::vector<std::filesystem::path> stamps = {"/usr/share/tuxpaint/stamps/food/fruit",
                                               "/usr/share/tuxpaint/stamps/food/vegetables"};
};

struct TurntableResult {
  std::uint64_t photos = 0;
  std::uint64_t training = 0;
  std::uint64_t test = 0;  // every fourth frame of a class, as in Fruits-360
  std::uint64_t kept = 0;  // of them, there already from an earlier run
  std::uint64_t bytes = 0;
  std::vector<std::string> classes;
};

// Makes `folder`/{Training,Test}/<Class>/<frame>_100.jpg (<frame>.jpg for original sizes): every cut-out on
// white, turned through 360 degrees in small steps, with changes of scale, tilt and light. The files are the
// same bytes for any number of threads. A run that was stopped is carried on by the next with the same
// options. One picture a class: enough to try a chain, not to judge a classifier.
// Throws Error{kUsage}, Error{kNotFound} where the cut-outs are missing, Error{kExists} where `folder` holds
// anything else or a set made with other options (nothing is ever removed), Error{kIo | kPermission},
// Error{kCancelled}.
TurntableResult make_turntable(const std::filesystem::path& folder, const TurntableOptions& options,
                               const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
