// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/report/report_data.h"

namespace pomona {

struct ThumbnailOptions {
  int side = 64;     // pixels of the longer side; smaller photos are not enlarged
  int quality = 75;  // JPEG
  int threads = 0;   // 0 = cpu_budget(); remote photos are waited for on four times as many
};

// Small copies of the photos at `paths` (local paths or URIs), in the same order, made from pixels alone:
// they carry no EXIF. A photo that cannot be read or decoded gets an empty jpeg. Once `stop` is requested the
// rest stays empty. Throws Error{kIo} where a store as a whole is dead.
std::vector<Thumbnail> make_thumbnails(std::span<const std::string> paths,
                                       const ThumbnailOptions& options = {}, std::stop_token stop = {});

}  // namespace pomona
