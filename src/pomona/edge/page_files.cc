// SPDX-License-Identifier: Apache-2.0
#include "pomona/edge/page_files.h"

#include <algorithm>

namespace pomona {

const PageFile* find_page_file(std::string_view name) {
  const std::span<const PageFile> files = page_files();
  const auto found = std::ranges::find(files, name, &PageFile::name);
  return found == files.end() ? nullptr : &*found;
}

}  // namespace pomona
