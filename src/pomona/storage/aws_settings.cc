// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/aws_settings_internal.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "pomona/base/text.h"

namespace pomona {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

// Values by "section|key"; an indented key belongs to the one above it: "profile x|s3.addressing_style".
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& path) {
    // A device or a data file named by mistake must not be read on and on.
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error) || std::filesystem::file_size(path, error) > kLargest)
      return;
    std::ifstream file(path);
    std::string line, section, outer;
    while (std::getline(file, line)) {
      const bool indented = !line.empty() && std::isspace(static_cast<unsigned char>(line.front())) != 0;
      const std::string_view text = trimmed(line);
      if (text.empty() || text.starts_with('#') || text.starts_with(';')) continue;
      if (text.starts_with('[') && text.ends_with(']')) {
        section = std::string(trimmed(text.substr(1, text.size() - 2)));
        outer.clear();
        continue;
      }
      const auto equals = text.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string key(trimmed(text.substr(0, equals)));
      const std::string value(trimmed(text.substr(equals + 1)));
      if (!indented) outer = value.empty() ? key : "";
      values_[section + "|" + (indented && !outer.empty() ? outer + "." + key : key)] = value;
    }
  }

  std::string get(const std::string& section, const std::string& key) const {
    const auto found = values_.find(section + "|" + key);
    return found == values_.end() ? "" : found->second;
  }

 private:
  static constexpr std::uintmax_t kLargest = 1u << 20;
  std::map<std::string, std::string> values_;
};

std::string first_of(std::initializer_list<std::string> values) {
  for (const std::string& value : values) {
    if (!value.empty()) return value;
  }
  return "";
}

bool in_domain(const std::string& host, std::string domain) {
  if (domain == "*") return true;
  if (domain.starts_with("*.")) domain.erase(0, 1);
  const std::string bare = domain.starts_with('.') ? domain.substr(1) : domain;
  return !bare.empty() && (host == bare || host.ends_with("." + bare));
}

}  // namespace

Environment process_environment() {
  return [](std::string_view name) -> std::string {
    const char* value = std::getenv(std::string(name).c_str());
    return value == nullptr ? "" : value;
  };
}

AwsSettings aws_settings(const Environment& environment) {
  AwsSettings settings;
  settings.profile = first_of({environment("AWS_PROFILE"), environment("AWS_DEFAULT_PROFILE"), "default"});
  const ConfigFile file(first_of({environment("AWS_CONFIG_FILE"), environment("HOME") + "/.aws/config"}));
  const auto of = [&](const std::string& profile, const std::string& key) {
    return first_of(
        {file.get("profile " + profile, key), profile == "default" ? file.get("default", key) : ""});
  };
  const auto of_profile = [&](const std::string& key) { return of(settings.profile, key); };
  if (lower_case(environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) != "true") {
    settings.endpoint = first_of({environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL"),
                                  file.get("services " + of_profile("services"), "s3.endpoint_url"),
                                  of_profile("endpoint_url")});
  }
  settings.region =
      first_of({environment("AWS_REGION"), environment("AWS_DEFAULT_REGION"), of_profile("region")});
  settings.ca_file = first_of({environment("AWS_CA_BUNDLE"), of_profile("ca_bundle")});
  settings.max_attempts = static_cast<int>(
      std::clamp(std::strtol(first_of({environment("AWS_MAX_ATTEMPTS"), of_profile("max_attempts")}).c_str(),
                             nullptr, 10),
                 0L, 100L));
  settings.virtual_addressing = of_profile("s3.addressing_style") == "virtual";
  settings.role_arn = of_profile("role_arn");
  settings.external_id = of_profile("external_id");
  settings.session_name = of_profile("role_session_name");
  settings.source_profile = of_profile("source_profile");
  // A profile may name itself: its own keys assume the role.
  settings.source_assumes = !settings.source_profile.empty() && settings.source_profile != settings.profile &&
                            !of(settings.source_profile, "role_arn").empty();
  settings.mfa_serial = of_profile("mfa_serial");
  return settings;
}

std::optional<std::string> proxy_for(std::string_view scheme, std::string_view host_and_port,
                                     const Environment& environment) {
  const auto variable = [&](const std::string& name) {
    std::string upper = name;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return first_of({environment(name), environment(upper)});
  };
  std::string host = lower_case(host_and_port);
  if (const auto colon = host.rfind(':');
      colon != std::string::npos && host.find(']', colon) == std::string::npos) {
    host.resize(colon);
  }
  const std::string none = lower_case(variable("no_proxy"));
  for (std::string_view rest = none; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    std::string domain(trimmed(rest.substr(0, comma)));
    if (const auto colon = domain.rfind(':'); colon != std::string::npos) domain.resize(colon);
    if (in_domain(host, domain)) return std::nullopt;
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  std::string proxy =
      first_of({variable(scheme == "http" ? "http_proxy" : "https_proxy"), variable("all_proxy")});
  if (proxy.empty()) return std::nullopt;
  if (proxy.find("://") == std::string::npos) proxy = "http://" + proxy;
  return proxy;
}

}  // namespace pomona
