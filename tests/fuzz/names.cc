// SPDX-License-Identifier: Apache-2.0
// Places and patterns people and stores name: URIs, their options, paths, globs, addresses; the configuration
// file of AWS. Input: words, each ended by a zero byte.
#include "fuzz.h"
#include "pomona/base/escape.h"
#include "pomona/base/hash.h"
#include "pomona/base/public_address.h"
#include "pomona/base/text.h"
#include "pomona/storage/aws_settings_internal.h"
#include "pomona/storage/glob_internal.h"
#include "pomona/storage/listing_internal.h"
#include "pomona/storage/uri_internal.h"
#include "pomona/storage/uri_options_internal.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16 << 10) return 0;
  fuzz::Input input(data, size);
  const std::string first(input.word());
  const std::string second(input.word());
  for (const bool options : {false, true}) {
    fuzz::accepts([&] {
      const RemoteUri uri = parse_remote(first, options);
      fuzz::require(!uri.key.starts_with('/') && !uri.key.ends_with('/'), "a key with a slash at its end");
      shown_authority(uri);
      UriOptions all(uri.options);
      fuzz::accepts([&] { all.take_number("max_attempts"); });
      fuzz::accepts([&] { all.take_flag("tls"); });
      all.take("region");
      UriOptions again(std::string_view(all.query()).substr(all.query().empty() ? 0 : 1));
      fuzz::require(again.query() == all.query(), "options that were written read as others");
    });
  }
  fuzz::require(percent_decode(percent_encode(first)) == first, "an encoded text decodes to another one");
  percent_decode(first);
  fuzz::accepts([&] { local_path(first); });
  fuzz::accepts([&] { check_name(first); });
  fuzz::accepts([&] { Glob(first).matches(second); });
  has_photo_extension(first);
  is_public_address(first);
  is_loopback_address(first);
  escape_path(first);
  is_utf8(first);
  const std::string config(input.text());
  const std::string file = config.empty() ? "/nonexistent" : fuzz::write_scratch("config", config).string();
  const Environment environment = [&](std::string_view name) -> std::string {
    if (name == "AWS_CONFIG_FILE") return file;
    if (name == "AWS_PROFILE") return first;
    if (name == "NO_PROXY") return second;
    if (name == "HTTPS_PROXY") return "http://proxy:3128";
    if (name == "AWS_MAX_ATTEMPTS") return second;
    return {};
  };
  aws_settings(environment);
  proxy_for("https", first, environment);
  return 0;
}
