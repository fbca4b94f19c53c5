// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/onedal_version.h"

#include <fmt/format.h>

#include <dal/services/library_version_info.h>

namespace pomona {

std::string onedal_version() {
  const daal::services::LibraryVersionInfo info;
  return fmt::format("{}.{}.{}", info.majorVersion, info.minorVersion, info.updateVersion);
}

}  // namespace pomona
