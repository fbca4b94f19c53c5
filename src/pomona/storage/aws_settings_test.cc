// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/aws_settings_internal.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "pomona/base/error.h"
#include "pomona/storage/storage_test_support.h"
#include "pomona/storage/uri_options_internal.h"

namespace pomona {
namespace {

Environment of(std::map<std::string, std::string, std::less<>> variables) {
  return [variables = std::move(variables)](std::string_view name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
}

std::string config_file(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "pomona-aws-" + name;
  std::ofstream(path) << text;
  return path;
}

TEST(AwsSettings, TheProfileOfTheConfigurationFileCounts) {
  const std::string path = config_file("profile", R"([default]
region = us-west-2
# a remark
[profile team]
region=eu-central-1
services = local
max_attempts = 3
role_arn = arn:aws:iam::1:role/photos
source_profile = base
s3 =
  addressing_style = virtual
[services local]
s3 =
  endpoint_url = https://s3.example.org
)");
  const auto team = aws_settings(of({{"AWS_CONFIG_FILE", path}, {"AWS_PROFILE", "team"}}));
  EXPECT_EQ(team.region, "eu-central-1");
  EXPECT_EQ(team.endpoint, "https://s3.example.org");
  EXPECT_EQ(team.max_attempts, 3);
  EXPECT_TRUE(team.virtual_addressing);
  EXPECT_EQ(team.role_arn, "arn:aws:iam::1:role/photos");
  EXPECT_EQ(team.source_profile, "base");
  EXPECT_FALSE(team.source_assumes);
  EXPECT_EQ(team.mfa_serial, "");
  const auto plain = aws_settings(of({{"AWS_CONFIG_FILE", path}}));
  EXPECT_EQ(plain.profile, "default");
  EXPECT_EQ(plain.region, "us-west-2");
  EXPECT_EQ(plain.endpoint, "");
}

TEST(AwsSettings, RolesInARowAndCodesToTypeAreSeen) {
  const std::string path = config_file("roles", R"([profile first]
role_arn = arn:aws:iam::1:role/a
source_profile = first
[profile second]
role_arn = arn:aws:iam::1:role/b
source_profile = first
mfa_serial = arn:aws:iam::1:mfa/me
)");
  const auto first = aws_settings(of({{"AWS_CONFIG_FILE", path}, {"AWS_PROFILE", "first"}}));
  EXPECT_FALSE(first.source_assumes);  // by keys of its own
  const auto second = aws_settings(of({{"AWS_CONFIG_FILE", path}, {"AWS_PROFILE", "second"}}));
  EXPECT_TRUE(second.source_assumes);
  EXPECT_EQ(second.mfa_serial, "arn:aws:iam::1:mfa/me");
}

TEST(AwsSettings, TheEnvironmentGoesBeforeTheFile) {
  const std::string path =
      config_file("order", "[default]\nregion=a\nendpoint_url=http://file\nmax_attempts=2\n");
  const auto settings = aws_settings(of({{"AWS_CONFIG_FILE", path},
                                         {"AWS_REGION", "b"},
                                         {"AWS_ENDPOINT_URL", "http://any"},
                                         {"AWS_ENDPOINT_URL_S3", "http://s3"},
                                         {"AWS_MAX_ATTEMPTS", "9"}}));
  EXPECT_EQ(settings.region, "b");
  EXPECT_EQ(settings.endpoint, "http://s3");
  EXPECT_EQ(settings.max_attempts, 9);
  const auto ignored =
      aws_settings(of({{"AWS_CONFIG_FILE", path}, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}}));
  EXPECT_EQ(ignored.endpoint, "");
}

TEST(AwsSettings, AFileThatIsNoneCountsAsEmpty) {
  EXPECT_EQ(aws_settings(of({{"AWS_CONFIG_FILE", "/nowhere/at/all"}})).region, "");
  EXPECT_EQ(aws_settings(of({{"AWS_CONFIG_FILE", "/dev/zero"}, {"AWS_REGION", "x"}})).region, "x");
}

TEST(ProxyFor, EnvironmentSaysWhichAndWhereNot) {
  const auto environment = of({{"HTTPS_PROXY", "http://secure:1"},
                               {"http_proxy", "plain:2"},
                               {"NO_PROXY", "localhost, .internal,*.example.org,10.0.0.1:80"}});
  EXPECT_EQ(proxy_for("https", "bucket.s3.amazonaws.com", environment), "http://secure:1");
  EXPECT_EQ(proxy_for("http", "store:9000", environment), "http://plain:2");
  EXPECT_EQ(proxy_for("https", "LOCALHOST:9000", environment), std::nullopt);
  EXPECT_EQ(proxy_for("https", "s3.internal", environment), std::nullopt);
  EXPECT_EQ(proxy_for("https", "a.example.org:443", environment), std::nullopt);
  EXPECT_EQ(proxy_for("http", "10.0.0.1:80", environment), std::nullopt);
  EXPECT_EQ(proxy_for("http", "notinternal", environment), "http://plain:2");
  EXPECT_EQ(proxy_for("https", "x", of({{"ALL_PROXY", "http://all:3"}})), "http://all:3");
  EXPECT_EQ(proxy_for("https", "x", of({{"ALL_PROXY", "http://all:3"}, {"no_proxy", "*"}})), std::nullopt);
}

TEST(UriOptions, AreTakenAndTheRestGoesOn) {
  UriOptions options(
      "region=eu-west-1&role_arn=arn%3Aaws%3Aiam%3A%3A1%3Arole/x&anonymous=true&max_attempts=4&a=b c");
  EXPECT_EQ(options.take("role_arn"), "arn:aws:iam::1:role/x");
  EXPECT_EQ(options.take("role_arn"), std::nullopt);
  EXPECT_TRUE(options.take_flag("anonymous"));
  EXPECT_FALSE(options.take_flag("anonymous"));
  EXPECT_EQ(options.take_number("max_attempts"), 4);
  EXPECT_EQ(options.query(), "?region=eu-west-1&a=b%20c");
  EXPECT_EQ(UriOptions("").query(), "");
  UriOptions bad("max_attempts=0&anonymous=perhaps");
  EXPECT_THROW(static_cast<void>(bad.take_number("max_attempts")), Error);
  EXPECT_THROW(static_cast<void>(bad.take_flag("anonymous")), Error);
}

}  // namespace
}  // namespace pomona
