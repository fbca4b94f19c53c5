// SPDX-License-Identifier: Apache-2.0
#include <arrow/filesystem/filesystem.h>
#include <arrow/filesystem/s3fs.h>

#include <algorithm>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/remote_connect_internal.h"

namespace pomona {
namespace {

bool mentions(const arrow::Status& status, std::string_view word) {
  return status.message().find(word) != std::string::npos;
}

// The region in "... while the bucket is located in 'eu-central-1'", as Arrow says after a HEAD.
std::string region_in(const std::string& text) {
  constexpr std::string_view kBefore = "the bucket is located in '";
  const auto begin = text.find(kBefore);
  if (begin == std::string::npos) return "";
  const auto end = text.find('\'', begin + kBefore.size());
  return end == std::string::npos ? "" : text.substr(begin + kBefore.size(), end - begin - kBefore.size());
}

bool is_other_region(const arrow::Status& status) {
  return mentions(status, "HTTP status 301") || mentions(status, "HTTP status 307") ||
         mentions(status, "PermanentRedirect") || mentions(status, "AuthorizationHeaderMalformed") ||
         mentions(status, "IllegalLocationConstraint");
}

// What a listing says: unlike HEAD its answer has a body with the cause.
arrow::Status ask_by_listing(const RemoteLocation& location) {
  arrow::fs::FileSelector selector;
  selector.base_dir = location.root;
  selector.allow_not_found = true;
  return location.filesystem->GetFileInfo(selector).status();
}

}  // namespace

Error remote_error(const RemoteLocation& location, const arrow::Status& status, const std::string& what) {
  const auto* s3 = dynamic_cast<const arrow::fs::S3FileSystem*>(location.filesystem.get());
  if (s3 == nullptr) return to_error(status, what);
  arrow::Status cause = status;
  if (mentions(status, "No response body") && !is_other_region(status)) {
    if (const arrow::Status listed = ask_by_listing(location); !listed.ok()) cause = listed;
  }
  if (is_other_region(cause)) {
    std::string region = region_in(status.message());
    const std::string bucket = location.root.substr(0, location.root.find('/'));
    if (region.empty()) region = region_in(location.filesystem->GetFileInfo(bucket).status().message());
    const std::string asked = s3->region().empty() ? "the one asked" : s3->region();
    if (region.empty() || region == asked) {
      return {ErrorCode::kNotFound, what + ": the bucket '" + bucket + "' lies in another region than " + asked +
                                     ". Say which: set AWS_REGION, or append ?region=... to the URI"};
    }
    return {ErrorCode::kNotFound, what + ": the bucket '" + bucket + "' lies in the region " + region +
                                   ", not in " + asked + ". Set AWS_REGION=" + region +
                                   ", or append ?region=" + region + " to the URI"};
  }
  if (error_code(cause) == ErrorCode::kPermission && !is_account_refused(cause)) {
    const auto options = s3->options();
    if (options.credentials_kind != arrow::fs::S3CredentialsKind::Anonymous &&
        options.GetAccessKey().empty()) {
      const bool role = options.credentials_kind == arrow::fs::S3CredentialsKind::Role;
      return {
          ErrorCode::kPermission,
          what +
              (role ? ": the role " + options.role_arn +
                          " could not be assumed, so there are no credentials. "
                          "May these keys assume it, and can the token service be reached?"
                    : ": no credentials were found. Looked at AWS_ACCESS_KEY_ID, the profile (AWS_PROFILE), "
                      "AWS_WEB_IDENTITY_TOKEN_FILE, the container's and the machine's role; for a public "
                      "bucket "
                      "append ?anonymous=true to the URI")};
    }
  }
  return to_error(cause, what);
}

}  // namespace pomona
