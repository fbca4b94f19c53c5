// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/storage/listing.h"

namespace pomona {

// A listing in pieces, for several machines: list_photos() of a source is what the items of a level say, in
// order, photos as they are and folders by list_photos_below().

// A photo, or a folder that may hold some.
struct ListingItem {
  std::string folder;          // its path below the source ("2026/apples"), raw bytes; empty for a photo
  std::optional<Entry> photo;  // set where it is a photo
};

// What lies right below the folder `below` ("" = all) of a source, in the order of list_photos(). None where
// it cannot be taken apart: a single file, more than `most` names, a folder that cannot be read to its end or
// is itself named like a photo, a store that does not list by key. Throws as list_photos() does for a source.
std::optional<std::vector<ListingItem>> list_level(const ListingOptions& options, const std::string& source,
                                                   const std::string& below, std::size_t most);

// The photos of list_photos() that lie below the folder `below` of a source, in its order; `limit` holds for
// these. A folder that is gone has none.
void list_photos_below(const ListingOptions& options, const std::string& source, const std::string& below,
                       const std::function<bool(Entry&&)>& sink, std::stop_token stop = {});

}  // namespace pomona
