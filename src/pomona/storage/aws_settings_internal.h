// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace pomona {

// A variable of the environment; empty where it is not set.
using Environment = std::function<std::string(std::string_view)>;
Environment process_environment();

// What environment and configuration file say about S3, where Arrow does not look for itself. Credentials are
// not among it: the AWS client finds those (environment, profile, process, web identity, container, machine).
struct AwsSettings {
  std::string profile;   // its name; "default" where none was chosen
  std::string endpoint;  // URL; "" = AWS itself
  std::string region;    // "" = none was said
  std::string ca_file;   // PEM
  int max_attempts = 0;  // 0 = none was said
  bool virtual_addressing = false;
  // A role that the profile says to assume.
  std::string role_arn, external_id, session_name;
  std::string source_profile;   // whose keys assume it; "" where the environment or the machine does
  bool source_assumes = false;  // that profile assumes a role itself
  std::string mfa_serial;       // the device whose code has to be typed
};

// Reads AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_MAX_ATTEMPTS,
// AWS_CA_BUNDLE and the profile (AWS_PROFILE, AWS_DEFAULT_PROFILE) of the configuration file
// (AWS_CONFIG_FILE, else ~/.aws/config) with its `services` section. Environment goes before file. A file
// that is not there or cannot be made sense of counts as empty.
AwsSettings aws_settings(const Environment& environment);

// The proxy by which `scheme`://`host` is to be reached: HTTPS_PROXY or HTTP_PROXY (either case), else
// ALL_PROXY, unless NO_PROXY names the host, a domain it lies in, or "*". None = directly.
std::optional<std::string> proxy_for(std::string_view scheme, std::string_view host,
                                     const Environment& environment);

}  // namespace pomona
