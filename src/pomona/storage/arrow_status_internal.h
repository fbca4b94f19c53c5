// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <string>

#include "pomona/base/error.h"

namespace pomona {

// What an Arrow status means: not found, permission, io, unavailable, format, usage.
ErrorCode error_code(const arrow::Status& status);

// True where the account as a whole is refused (expired token, unknown key, bad signature), not one object.
bool is_account_refused(const arrow::Status& status);

// `what` ("cannot read s3://...") and what Arrow says, in one sentence that says which kind of failure it is.
Error to_error(const arrow::Status& status, const std::string& what);

// The cause alone, for a sentence of one's own: "not found", "permission denied (AccessDenied)".
std::string cause_of(const arrow::Status& status);

// Throws to_error() where `status` is not ok.
inline void check(const arrow::Status& status, const std::string& what) {
  if (!status.ok()) throw to_error(status, what);
}

// The value, or throws to_error().
template <typename T>
T take(arrow::Result<T> result, const std::string& what) {
  if (!result.ok()) throw to_error(result.status(), what);
  return std::move(result).ValueUnsafe();
}

}  // namespace pomona
