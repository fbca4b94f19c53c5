// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/openvino_version.h"

#include <openvino/core/version.hpp>

namespace pomona {

std::string openvino_version() {
  // "2026.4.1-21735-1a2b3c4d5e6-releases/2026/4": the build behind the dash says nothing to a reader.
  const std::string build = ov::get_openvino_version().buildNumber;
  return build.substr(0, build.find('-'));
}

}  // namespace pomona
