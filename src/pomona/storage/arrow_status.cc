// SPDX-License-Identifier: Apache-2.0
#include <arrow/util/io_util.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "pomona/base/system_error.h"
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
constexpr std::array<std::string_view, 12> kAccount = {"ExpiredToken",
                                                       "EXPIRED_TOKEN",
                                                       "InvalidAccessKeyId",
                                                       "INVALID_ACCESS_KEY",
                                                       "SignatureDoesNotMatch",
                                                       "SIGNATURE_DOES_NOT_MATCH",
                                                       "INVALID_CLIENT_TOKEN",
                                                       "InvalidToken",
                                                       "UNRECOGNIZED_CLIENT",
                                                       "REQUEST_TIME_TOO_SKEWED",
                                                       "MISSING_AUTHENTICATION_TOKEN",
                                                       "XAdminUserNotFound"};
constexpr std::array<std::string_view, 9> kPermission = {
    "ACCESS_DENIED",        "AccessDenied",         "HTTP status 403",
    "HTTP status 401",      "PERMISSION_DENIED",    "Permission denied",
    "AuthorizationFailure", "AuthenticationFailed", "403 Forbidden"};
// Of the network, not of the store: curl's own words come along.
constexpr std::array<std::string_view, 4> kNetwork = {"NETWORK_CONNECTION", "curlCode:", "CURL error",
                                                      "Fail to get a new connection"};
constexpr std::array<std::string_view, 8> kOverload = {
    "SLOW_DOWN",     "SlowDown",   "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE",
    "InternalError", "THROTTLING", "HTTP status 503",     "HTTP status 500"};
constexpr std::array<std::string_view, 7> kNotFound = {
    "NO_SUCH_KEY", "NO_SUCH_BUCKET",      "RESOURCE_NOT_FOUND", "HTTP status 404",
    "NOT_FOUND",   "Path does not exist", "not found"};

// The right that S3's policies call what a request asked for; "" where the text names no request.
std::string_view right_of(std::string_view text) {
  struct Pair {
    std::string_view operation, right;
  };
  static constexpr std::array<Pair, 12> kRights = {{{"HeadBucket", "s3:ListBucket"},
                                                    {"ListObjectsV2", "s3:ListBucket"},
                                                    {"HeadObject", "s3:GetObject or s3:ListBucket"},
                                                    {"GetObject", "s3:GetObject"},
                                                    {"PutObject", "s3:PutObject"},
                                                    {"CreateMultipartUpload", "s3:PutObject"},
                                                    {"UploadPart", "s3:PutObject"},
                                                    {"CompleteMultipartUpload", "s3:PutObject"},
                                                    {"AbortMultipartUpload", "s3:AbortMultipartUpload"},
                                                    {"CopyObject", "s3:GetObject and s3:PutObject"},
                                                    {"DeleteObjects", "s3:DeleteObject"},
                                                    {"DeleteObject", "s3:DeleteObject"}}};
  for (const Pair& pair : kRights) {
    if (text.find("during " + std::string(pair.operation) + " operation") != std::string_view::npos) {
      return pair.right;
    }
  }
  return "";
}

std::string refusal_of(std::string_view text) {
  const auto mentions = [&](std::string_view word) { return text.find(word) != std::string_view::npos; };
  if (mentions("ExpiredToken") || mentions("EXPIRED_TOKEN")) {
    return "the temporary credentials have expired: get new ones and run again with --resume";
  }
  if (mentions("InvalidAccessKeyId") || mentions("INVALID_ACCESS_KEY") || mentions("XAdminUserNotFound")) {
    return "the store does not know this access key: check AWS_ACCESS_KEY_ID, or the profile's";
  }
  if (mentions("SignatureDoesNotMatch") || mentions("SIGNATURE_DOES_NOT_MATCH")) {
    return "the secret key does not belong to this access key: check AWS_SECRET_ACCESS_KEY, or the profile's";
  }
  if (mentions("REQUEST_TIME_TOO_SKEWED")) return "this machine's clock is wrong: set it";
  return "the store refuses the credentials";
}

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
  if (const int number = arrow::internal::ErrnoFromStatus(status); number != 0) return system_reason(number);
  std::string text = status.message();
  std::replace(text.begin(), text.end(), '\n', ' ');
  switch (error_code(status)) {
    case ErrorCode::kNotFound:
      if (text.find("NO_SUCH_BUCKET") != std::string::npos ||
          text.find("NoSuchBucket") != std::string::npos) {
        return "there is no such bucket (" + text + ")";
      }
      return "not found (" + text + ")";
    case ErrorCode::kPermission: {
      if (is_account_refused(status)) return refusal_of(text) + " (" + text + ")";
      const std::string right(right_of(text));
      return "permission denied" +
             (right.empty() ? ""
                            : ": these credentials lack the right " + right +
                                  ", which the bucket's owner gives; `pomona doctor "
                                  "URI` shows all that are needed") +
             " (" + text + ")";
    }
    case ErrorCode::kUnavailable:
      return "not available here (" + text + ")";
    default:
      if (mentions_any(text, kNetwork)) {
        return "the endpoint cannot be reached, even after trying again: check its address, the network and "
               "the proxy (" +
               text + ")";
      }
      if (mentions_any(text, kOverload)) {
        return "the store is overloaded or broken, even after trying again: run again later with --resume (" +
               text + ")";
      }
      return text;
  }
}

Error to_error(const arrow::Status& status, const std::string& what) {
  return {error_code(status), what + ": " + cause_of(status)};
}

}  // namespace pomona
