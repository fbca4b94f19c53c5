// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "pomona/image/image.h"

namespace pomona {

// Baseline JPEG of `image`, 4:2:0, with libjpeg's tables for `quality` (1 to 100) and no metadata at all.
// Throws Error{kUsage} for a quality or size that JPEG cannot have (sides of 1 to 65,500 pixels),
// Error{kInternal} where libjpeg fails. May be called from any thread.
std::vector<std::byte> encode_jpeg(ImageView image, int quality);

}  // namespace pomona
