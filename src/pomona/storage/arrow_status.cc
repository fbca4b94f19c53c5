// SPDX-License-Identifier: Apache-2.0
#include <arrow/util/io_util.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "pomona/storage/arrow_status_internal.h"

namespace pomona {
namespace {

template <std::size_t N>
bool mentions_any(std::string_view text, const std::array<std::string_view, N>& words) {
  for (const std::string_view word : words) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

// The clouds' clients pass their codes on in the text only.
constexpr std::array<std::string_view, 11> kAccount = {"ExpiredToken",
                                                       "EXPIRED_TOKEN",
                                                       "InvalidAccessKeyId",
                                                       "INVALID_ACCESS_KEY",
                                                       "SignatureDoesNotMatch",
                                                       "SIGNATURE_DOES_NOT_MATCH",
                                                       "INVALID_CLIENT_TOKEN",
                                                       "InvalidToken",
                                                       "UNRECOGNIZED_CLIENT",
                                                       "REQUEST_TIME_TOO_SKEWED",
                                                       "MISSING_AUTHENTICATION_TOKEN"};
constexpr std::array<std::string_view, 6> kPermission = {"ACCESS_DENIED",     "AccessDenied",
                                                         "HTTP status 403",   "HTTP status 401",
                                                         "PERMISSION_DENIED", "Permission denied"};
constexpr std::array<std::string_view, 7> kNotFound = {
    "NO_SUCH_KEY", "NO_SUCH_BUCKET",      "RESOURCE_NOT_FOUND", "HTTP status 404",
    "NOT_FOUND",   "Path does not exist", "not found"};

}  // namespace

bool is_account_refused(const arrow::Status& status) {
  return !status.ok() && mentions_any(status.message(), kAccount);
}

ErrorCode error_code(const arrow::Status& status) {
  const int number = arrow::internal::ErrnoFromStatus(status);
  if (number == ENOENT || number == ENOTDIR) return ErrorCode::kNotFound;
  if (number == EACCES || number == EPERM) return ErrorCode::kPermission;
  if (number != 0) return ErrorCode::kIo;
  if (status.IsNotImplemented()) return ErrorCode::kUnavailable;
  if (status.IsCancelled()) return ErrorCode::kCancelled;
  const std::string& text = status.message();
  if (is_account_refused(status) || mentions_any(text, kPermission)) return ErrorCode::kPermission;
  if (mentions_any(text, kNotFound)) return ErrorCode::kNotFound;
  if (status.IsKeyError()) return ErrorCode::kNotFound;
  if (status.IsInvalid() || status.IsTypeError() || status.IsSerializationError()) return ErrorCode::kFormat;
  return ErrorCode::kIo;
}

std::string cause_of(const arrow::Status& status) {
  if (const int number = arrow::internal::ErrnoFromStatus(status); number != 0) return std::strerror(number);
  std::string text = status.message();
  std::replace(text.begin(), text.end(), '\n', ' ');
  switch (error_code(status)) {
    case ErrorCode::kNotFound:
      return "not found (" + text + ")";
    case ErrorCode::kPermission:
      return (is_account_refused(status) ? "the store refuses the credentials (" : "permission denied (") +
             text + ")";
    case ErrorCode::kUnavailable:
      return "not available here (" + text + ")";
    default:
      return text;
  }
}

Error to_error(const arrow::Status& status, const std::string& what) {
  return {error_code(status), what + ": " + cause_of(status)};
}

}  // namespace pomona
