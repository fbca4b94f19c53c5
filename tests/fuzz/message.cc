// SPDX-License-Identifier: Apache-2.0
// What the server takes out of a request, and its file of tokens: targets, escapes, base64, forms, addresses
// of proxies, bearer tokens. Input: words, each ended by a zero byte, then a body.
#include "server/message.h"
#include "fuzz.h"
#include "server/auth.h"
#include "server/models.h"
#include "server/multipart.h"
#include "server/proxies.h"
#include "server/rate_limit.h"

using namespace pomona;
using namespace pomona::server;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Request request;
  request.target = input.word();
  const std::string type(input.word());
  const std::string header(input.word());
  request.body = input.text();
  request.headers = {{"content-type", type}, {"x-forwarded-for", header}, {"host", "fuzz"}};
  request.client = "127.0.0.1";
  if (parse_target(request)) {
    fuzz::require(request.path.starts_with('/'), "a path that does not begin at the root");
    fuzz::require(request.path.find('\0') == std::string::npos, "a zero byte in a path");
    request.parameter("k");
  }
  percent_decode(request.target, true);
  if (const auto decoded = base64_decode(request.body)) {
    fuzz::require(decoded->size() <= request.body.size(), "base64 that grew");
  }
  if (is_multipart(type)) {
    if (const auto parts = parse_multipart(type, request.body)) {
      const char* const begin = request.body.data();
      for (const Part& part : *parts) {
        if (part.data.empty()) continue;
        fuzz::require(
            part.data.data() >= begin && part.data.data() + part.data.size() <= begin + request.body.size(),
            "a part outside of the body");
      }
    }
  }
  static const TrustedProxies own = TrustedProxies::parse("127.0.0.0/8,::1");
  own.client(request);
  RateLimit::key(header);
  fuzz::accepts([&] { TrustedProxies::parse(header).contains(type); });
  if (const auto token = bearer(header)) {
    fuzz::accepts([&] { TokenFile::parse(request.body, "tokens").find(*token); });
  }
  fuzz::accepts([&] { TokenFile::parse(request.body, "tokens"); });
  fuzz::accepts([&] { parse_scopes(header); });
  fuzz::accepts([&] { parse_model_arguments({type, header}); });
  in_kserve_form(error_response(400, "bad", header));
  return 0;
}
