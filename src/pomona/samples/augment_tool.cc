// SPDX-License-Identifier: Apache-2.0
// Lets the tests set a folder of photos on other backgrounds: SOURCE DEST variants seed threads how, where
// how is textures or backgrounds=DIR. Labels are the names of the folders. Prints one line of counts.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "pomona/samples/augment.h"
#include "pomona/storage/listing.h"

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: pomona-augment-tool SOURCE DEST VARIANTS SEED THREADS textures|backgrounds=DIR\n",
               stderr);
    return 2;
  }
  try {
    std::vector<pomona::AugmentInput> inputs;
    pomona::ListingOptions listing;
    listing.sources = {argv[1]};
    pomona::list_photos(listing, [&](pomona::Entry&& entry) {
      inputs.push_back({entry.path, std::filesystem::path(entry.path).parent_path().filename().string()});
      return true;
    });
    pomona::AugmentOptions options;
    options.variants = std::atoi(argv[3]);
    options.seed = std::strtoull(argv[4], nullptr, 10);
    options.threads = std::atoi(argv[5]);
    options.backgrounds = pomona::parse_augment(argv[6]);
    const auto result = pomona::augment_photos(inputs, argv[2], options, {});
    std::printf("%zu made, %zu cut, %zu no white, %zu unreadable\n", result.photos.size(),
                static_cast<std::size_t>(result.cut), static_cast<std::size_t>(result.no_white),
                static_cast<std::size_t>(result.unreadable));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
