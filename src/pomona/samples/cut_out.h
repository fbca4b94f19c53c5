// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pomona/image/image.h"

namespace pomona {

// A fruit cut off its white background: the part of the photo that shows it, and how much of each pixel it
// is.
struct CutOut {
  Image picture;                    // cut to the fruit; behind its edge its own colours go on, not the white
  std::vector<std::uint8_t> alpha;  // picture's height x width: 0 background, 255 fruit, feathered between
  double share = 0;                 // of the whole photo that is fruit, 0 to 1
  std::string left_because;         // why the photo cannot be cut; empty where it was

  bool cut() const { return left_because.empty(); }
};

// Finds the fruit on a white background: whatever a flood fill from the photo's border over near-white pixels
// does not reach. JPEG noise and soft shadows (grey, changing little from pixel to pixel) count as
// background, highlights within the fruit and specks beside it do not matter. A photo without a white
// background, or one that is a picture within a white frame, is left and says so. May be called from any
// thread.
CutOut cut_out(ImageView photo);

}  // namespace pomona
