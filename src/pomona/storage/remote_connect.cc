// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/remote_connect_internal.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/filesystem/s3fs.h>
#include <arrow/io/interfaces.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"

namespace pomona {
namespace {

// The AWS client starts threads that must end before the process does, and cannot be started twice. So one
// handle serves the whole process; stores share it, and the last of them to go, or the end of the process,
// shuts it down.
class S3Library {
 public:
  S3Library() {
    check(arrow::fs::EnsureS3Initialized(), "cannot start the S3 client");
    // Arrow makes the register of its clients and its I/O threads when they are first needed. Made here, they
    // outlive this object; made later, they would be gone when it shuts them down, and the process would
    // hang.
    arrow::fs::S3Options options = arrow::fs::S3Options::Anonymous();
    options.region = "us-east-1";
    check(arrow::fs::S3FileSystem::Make(options, arrow::io::default_io_context()).status(),
          "cannot start the S3 client");
  }
  ~S3Library() { static_cast<void>(arrow::fs::EnsureS3Finalized()); }
  S3Library(const S3Library&) = delete;
  S3Library& operator=(const S3Library&) = delete;

  static std::shared_ptr<S3Library> get() {
    static const auto library = std::make_shared<S3Library>();
    return library;
  }
};

// Tries again after 0.1, 0.2, 0.4 ... 5 s, each shortened by up to a half at random so that many readers do
// not come back at once. Attempts: AWS_MAX_ATTEMPTS, else 7 (some 6 s until a store counts as dead).
class Backoff final : public arrow::fs::S3RetryStrategy {
 public:
  explicit Backoff(std::int64_t attempts) : attempts_(attempts) {}

  bool ShouldRetry(const AWSErrorDetail& error, std::int64_t attempted) override {
    return error.should_retry && attempted + 1 < attempts_;
  }

  std::int64_t CalculateDelayBeforeNextRetry(const AWSErrorDetail&, std::int64_t attempted) override {
    const std::int64_t longest = std::min<std::int64_t>(5000, 100LL << std::min<std::int64_t>(attempted, 10));
    thread_local std::minstd_rand random{std::random_device{}()};
    return std::uniform_int_distribution<std::int64_t>(longest / 2, longest)(random);
  }

 private:
  std::int64_t attempts_;
};

std::int64_t attempts_from_environment() {
  const char* text = std::getenv("AWS_MAX_ATTEMPTS");
  const long attempts = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  return attempts > 0 ? std::min(attempts, 100L) : 7;
}

std::shared_ptr<arrow::fs::FileSystem> connect_s3(const RemoteUri& uri, const std::string& root_uri,
                                                  const std::string& what,
                                                  const arrow::io::IOContext* context, std::string& root) {
  auto options = take(arrow::fs::S3Options::FromUri(root_uri, &root), what);
  // Arrow wants host:port; everybody else writes a URL.
  for (const std::string scheme : {"http", "https"}) {
    if (options.endpoint_override.starts_with(scheme + "://")) {
      options.endpoint_override.erase(0, scheme.size() + 3);
      options.scheme = scheme;
    }
  }
  while (options.endpoint_override.ends_with('/')) options.endpoint_override.pop_back();
  options.retry_strategy = std::make_shared<Backoff>(attempts_from_environment());
  if (options.connect_timeout < 0) options.connect_timeout = 5;
  if (options.request_timeout < 0) options.request_timeout = 30;
  options.allow_delayed_open = true;  // one request for a small object, in place of three
  options.allow_bucket_creation = false;
  options.allow_bucket_deletion = false;
  root = shown_authority(uri);
  return take(
      arrow::fs::S3FileSystem::Make(options, context == nullptr ? arrow::io::default_io_context() : *context),
      what);
}

}  // namespace

bool is_gcs(const RemoteUri& uri) {
  return uri.scheme == "gs" || uri.scheme == "gcs";
}

RemoteLocation connect(const RemoteUri& uri, const arrow::io::IOContext* context) {
  RemoteLocation location;
  location.uri = uri;
  const std::string shown = escape_path(join(uri.scheme + "://" + shown_authority(uri), uri.key));
  const std::string what = "cannot open " + shown;
  const bool azure = uri.scheme == "abfs" || uri.scheme == "abfss";
  const bool hdfs = uri.scheme == "hdfs" || uri.scheme == "viewfs";
  if (uri.scheme != "s3" && !is_gcs(uri) && !azure && !hdfs) {
    throw Error(ErrorCode::kUsage,
                what + ": '" + uri.scheme +
                    "' is not a store we know. Known are s3, gs, abfs, hdfs and local paths; a "
                    "local path of that look is written ./" +
                    uri.scheme + "://...");
  }
  std::string options = uri.options;
  // Google's client would try again for a quarter of an hour.
  if (is_gcs(uri) && options.find("retry_limit_seconds=") == std::string::npos) {
    options += options.empty() ? "retry_limit_seconds=30" : "&retry_limit_seconds=30";
  }
  const std::string root_uri = uri.scheme + "://" + uri.authority + (options.empty() ? "" : "?" + options);
  try {
    if (uri.scheme == "s3") {
      location.library = S3Library::get();
      location.filesystem = connect_s3(uri, root_uri, what, context, location.root);
    } else {
      const auto io = context == nullptr ? arrow::io::default_io_context() : *context;
      location.filesystem = take(arrow::fs::FileSystemFromUri(root_uri, io, &location.root), what);
    }
  } catch (const Error& error) {
    // A URI that Arrow cannot make sense of is wrong use, and a client library that is missing is not a dead
    // disk.
    if (error.code() == ErrorCode::kFormat) throw Error(ErrorCode::kUsage, error.what());
    if (hdfs && error.code() == ErrorCode::kIo) {
      throw Error(ErrorCode::kUnavailable, std::string(error.what()) +
                                               ". HDFS needs Hadoop's libhdfs (HADOOP_HOME, "
                                               "ARROW_LIBHDFS_DIR) and CLASSPATH");
    }
    throw;
  }
  while (location.root.ends_with('/') && location.root.size() > 1) location.root.pop_back();
  location.root = join(location.root, uri.key);
  return location;
}

}  // namespace pomona
