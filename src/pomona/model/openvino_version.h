// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace pomona {

// Of the OpenVINO that runs here, for example "2026.4.1". Thread-safe.
std::string openvino_version();

}  // namespace pomona
