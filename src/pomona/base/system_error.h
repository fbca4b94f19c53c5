// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "pomona/base/error.h"

namespace pomona {

// What an errno says, and where its user can do something about it, what: "No space left on device: free some
// there, then run again".
std::string system_reason(int error);

// kNotFound, kPermission or kIo.
ErrorCode system_error_code(int error);

}  // namespace pomona
