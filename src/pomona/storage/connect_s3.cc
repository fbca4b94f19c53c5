// SPDX-License-Identifier: Apache-2.0
#include <arrow/filesystem/s3fs.h>
#include <arrow/io/interfaces.h>
#include <arrow/util/thread_pool.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <random>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/aws_settings_internal.h"
#include "pomona/storage/remote_connect_internal.h"
#include "pomona/storage/uri_options_internal.h"

namespace pomona {
namespace {

// As many requests at a time as readers may be busy (PhotoFeed's most); the client keeps no more connections.
constexpr int kConnections = 256;

// The S3 client takes the number of its connections from the executor it is given; its tasks are Arrow's as
// ever.
class WideExecutor final : public arrow::internal::Executor {
 public:
  int GetCapacity() override { return kConnections; }

 protected:
  arrow::Status SpawnReal(arrow::internal::TaskHints hints, arrow::internal::FnOnce<void()> task,
                          arrow::StopToken stop, StopCallback&& cancelled) override {
    return arrow::io::default_io_context().executor()->Spawn(hints, std::move(task), std::move(stop),
                                                             std::move(cancelled));
  }
};

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

  arrow::io::IOContext wide() { return arrow::io::IOContext(&executor_); }

 private:
  WideExecutor executor_;
};

// Tries again after 0.1, 0.2, 0.4 ... 5 s, each shortened by up to a half at random so that many readers do
// not come back at once. 7 attempts are some 6 s until a store counts as dead.
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

constexpr int kAttempts = 7;

// The system's certificates, where the client library looks on some systems only.
std::string system_ca_file() {
  constexpr std::array kPlaces = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                  "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
  std::error_code error;
  for (const char* place : kPlaces) {
    if (std::filesystem::is_regular_file(place, error)) return place;
  }
  return "";
}

// What is ours among the options of a URI.
struct OwnOptions {
  explicit OwnOptions(UriOptions& options) {
    role_arn = options.take("role_arn").value_or("");
    external_id = options.take("external_id").value_or("");
    session_name = options.take("session_name").value_or("");
    anonymous = options.take_flag("anonymous");
    virtual_addressing = options.take("addressing").value_or("") == "virtual";
    proxy = options.take("proxy");
    attempts = options.take_number("max_attempts");
    connect_timeout = options.take_number("connect_timeout").value_or(5);
    request_timeout = options.take_number("request_timeout").value_or(30);
  }

  std::string role_arn, external_id, session_name;
  bool anonymous = false, virtual_addressing = false;
  std::optional<std::string> proxy;
  std::optional<int> attempts;
  int connect_timeout, request_timeout;  // seconds
};

// For as long as it lives, the AWS client that is made takes this profile for the one that was chosen: it
// asks the environment when its credentials are set up, and takes no other word for it. Only variables that
// are there are given another value, which moves nothing: who reads the environment meanwhile sees the old
// value or the new one.
class OtherProfile {
 public:
  static bool possible(const Environment& environment) {
    return std::ranges::any_of(kNames, [&](const char* name) { return !environment(name).empty(); });
  }

  OtherProfile(const Environment& environment, const std::string& profile) : lock_(mutex()) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      old_[i] = environment(kNames[i]);
      if (!old_[i].empty()) ::setenv(kNames[i], profile.c_str(), 1);
    }
  }
  ~OtherProfile() {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      if (!old_[i].empty()) ::setenv(kNames[i], old_[i].c_str(), 1);
    }
  }
  OtherProfile(const OtherProfile&) = delete;
  OtherProfile& operator=(const OtherProfile&) = delete;

 private:
  static constexpr std::array kNames = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"};
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
  std::array<std::string, kNames.size()> old_;
};

void configure_credentials(arrow::fs::S3Options& options, const OwnOptions& own, const AwsSettings& settings,
                           const Environment& environment, const std::string& what) {
  if (own.anonymous) return options.ConfigureAnonymousCredentials();
  const bool explicit_keys = options.credentials_kind == arrow::fs::S3CredentialsKind::Explicit;
  if (!own.role_arn.empty()) {
    const std::string session = own.session_name.empty() ? "pomona" : own.session_name;
    return options.ConfigureAssumeRoleCredentials(own.role_arn, session, own.external_id);
  }
  if (explicit_keys || settings.role_arn.empty() || !environment("AWS_ACCESS_KEY_ID").empty()) return;
  const std::string asks = what + ": the AWS profile '" + settings.profile + "' assumes " + settings.role_arn;
  const std::string instead =
      " Give temporary keys instead: eval \"$(aws configure export-credentials --profile " +
      settings.profile + " --format env)\"";
  if (!settings.mfa_serial.empty()) {
    throw Error(ErrorCode::kUsage, asks + " with a code of the device " + settings.mfa_serial +
                                       ", which nobody can type here." + instead);
  }
  if (settings.source_assumes) {
    throw Error(ErrorCode::kUsage, asks + " by way of the profile '" + settings.source_profile +
                                       "', which assumes a role itself. One role can be assumed here." +
                                       instead);
  }
  std::optional<OtherProfile> by;
  if (!settings.source_profile.empty()) {
    if (!OtherProfile::possible(environment)) {
      throw Error(ErrorCode::kUsage, asks + " with the keys of the profile '" + settings.source_profile +
                                         "': name it, AWS_PROFILE=" + settings.profile);
    }
    by.emplace(environment, settings.source_profile);
  }
  const std::string session = settings.session_name.empty() ? "pomona" : settings.session_name;
  options.ConfigureAssumeRoleCredentials(settings.role_arn, session, settings.external_id);
}

// Where AWS has the bucket, whatever region we are in ourselves.
std::string region_of(const std::string& bucket, const std::string& otherwise, const std::string& what) {
  const auto region = arrow::fs::ResolveS3BucketRegion(bucket);
  if (region.ok() && !region->empty()) return *region;
  // Not of this partition of AWS, or only reachable through an endpoint of its own region.
  if (!otherwise.empty()) return otherwise;
  throw to_error(region.status(), what + " (looking for its region; AWS_REGION or ?region=... would say it)");
}

}  // namespace

RemoteLocation connect_s3(const RemoteUri& uri, const std::string& what,
                          const arrow::io::IOContext* context) {
  const Environment environment = process_environment();
  const AwsSettings settings = aws_settings(environment);
  RemoteLocation location;
  const auto library = S3Library::get();
  location.library = library;
  location.uri = uri;

  UriOptions query(uri.options);
  const OwnOptions own(query);
  std::string endpoint = query.take("endpoint_override").value_or(settings.endpoint);
  while (endpoint.ends_with('/')) endpoint.pop_back();
  // Arrow wants host:port; everybody else writes a URL.
  for (const std::string scheme : {"http", "https"}) {
    if (!endpoint.starts_with(scheme + "://")) continue;
    endpoint.erase(0, scheme.size() + 3);
    query.set("scheme", scheme);
  }
  if (!endpoint.empty()) query.set("endpoint_override", endpoint);
  const std::string host = endpoint.empty() ? "s3.amazonaws.com" : endpoint;
  const std::string scheme = query.take("scheme").value_or("https");
  query.set("scheme", scheme);
  const auto proxy = own.proxy ? own.proxy : proxy_for(scheme, host, environment);
  if (!query.has("region")) {
    std::string region = settings.region;
    if (endpoint.empty()) {
      // Through a proxy nobody can be asked; AWS says where the bucket is when it is asked in the wrong
      // place.
      region =
          proxy ? (region.empty() ? "us-east-1" : region) : region_of(shown_authority(uri), region, what);
    }
    if (!region.empty()) {
      query.set("region", region);
      UriOptions found(uri.options);
      found.set("region", region);
      location.uri.options = found.query().substr(1);  // who connects again need not ask again
    }
  }
  const std::string root_uri = "s3://" + uri.authority + query.query();
  auto options = take(arrow::fs::S3Options::FromUri(root_uri, &location.root), what);
  options.force_virtual_addressing =
      options.force_virtual_addressing || own.virtual_addressing || settings.virtual_addressing;
  if (proxy)
    options.proxy_options =
        take(arrow::fs::S3ProxyOptions::FromUri(*proxy), what + " by the proxy " + *proxy);
  if (options.tls_ca_file_path.empty()) {
    options.tls_ca_file_path = settings.ca_file.empty() ? system_ca_file() : settings.ca_file;
  }
  configure_credentials(options, own, settings, environment, what);
  options.retry_strategy = std::make_shared<Backoff>(
      own.attempts.value_or(settings.max_attempts > 0 ? settings.max_attempts : kAttempts));
  options.connect_timeout = own.connect_timeout;
  options.request_timeout = own.request_timeout;
  options.allow_delayed_open = true;  // one request for a small object, in place of three
  options.allow_bucket_creation = false;
  options.allow_bucket_deletion = false;
  location.root = shown_authority(uri);
  location.filesystem =
      take(arrow::fs::S3FileSystem::Make(options, context == nullptr ? library->wide() : *context), what);
  return location;
}

}  // namespace pomona
