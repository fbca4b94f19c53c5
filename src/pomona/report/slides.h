// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pomona {

struct SlideOptions {
  int width = 1600;  // pixels
  int height = 900;
  bool dark = false;            // the page's dark colours
  double timeout_seconds = 60;  // for one slide
};

// The Chromium that write_slides() uses: $POMONA_CHROMIUM where set, else the first of chromium,
// chromium-browser, google-chrome, google-chrome-stable, chrome in PATH. Throws Error{kUnavailable}.
std::filesystem::path find_chromium();

// One PNG for each section of a report, `01-overview.png`, `02-photos.png`, ..., made by headless Chromium.
// Makes `dir`. Returns the files. Throws Error{kUnavailable} where no Chromium is found or it fails,
// kNotFound or kFormat where `html` is not a report.
std::vector<std::filesystem::path> write_slides(const std::filesystem::path& html,
                                                const std::filesystem::path& dir,
                                                const SlideOptions& options = {});

}  // namespace pomona
