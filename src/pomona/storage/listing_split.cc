// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/listing_split.h"

#include "pomona/storage/listing_internal.h"
#include "pomona/storage/uri_internal.h"

namespace pomona {

std::optional<std::vector<ListingItem>> list_level(const ListingOptions& options, const std::string& source,
                                                   const std::string& below, std::size_t most) {
  const std::function<bool(Entry&&)> nowhere = [](Entry&&) { return true; };
  const ListingSink filter(options, nowhere, {});
  if (is_remote_uri(source)) return list_remote_level(source, below, filter, most);
  return list_local_level(local_path(source), below, filter, most);
}

void list_photos_below(const ListingOptions& options, const std::string& source, const std::string& below,
                       const std::function<bool(Entry&&)>& sink, std::stop_token stop) {
  ListingSink listing(options, sink, std::move(stop));
  if (is_remote_uri(source)) {
    list_remote(source, below, listing);
  } else {
    list_local(local_path(source), below, listing);
  }
}

}  // namespace pomona
