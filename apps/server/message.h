// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pomona::server {

// A request as the routes see it. Names of headers are in lower case; path and query are percent-decoded.
struct Request {
  std::string method;
  std::string target;  // as sent
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string client;        // IP address
  std::string token;         // name of the API token it came with; empty without one
  std::string route;         // the route's pattern, for metrics and log; empty where none fits
  std::uint64_t id = 0;      // of this process, for the log
  std::uint64_t photos = 0;  // it held, for the log

  // The value of a header (name in lower case) or of a query parameter; nothing where it is not there.
  std::optional<std::string_view> header(std::string_view name) const;
  std::optional<std::string_view> parameter(std::string_view name) const;
};

// An answer. `body` is owned; `fixed` points to bytes that live as long as `keep` or the process.
struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string_view fixed;
  std::shared_ptr<const void> keep;
  bool close = false;  // end the connection after it
  std::string error;   // the sentence, where this is an error_response()

  std::string_view bytes() const { return fixed.empty() ? std::string_view(body) : fixed; }
};

// {"error": {"code": code, "message": message}}
Response error_response(int status, std::string_view code, std::string_view message);
// An error in the form of KServe's protocol, {"error": message}; what is no error_response() stays as it is.
Response in_kserve_form(Response response);
// error_response() with Retry-After, in seconds.
Response busy_response(int status, std::string_view code, std::string_view message, int retry_after);

// "Not Found" for 404.
std::string_view reason_phrase(int status);

// Percent-decoding of a path or query part; nothing where an escape is broken or stands for a zero byte.
// `plus` = '+' means a space (queries).
std::optional<std::string> percent_decode(std::string_view text, bool plus);

// Splits a request target (origin form) into path and query. False where it is malformed.
bool parse_target(Request& request);

// Base64 (RFC 4648, padding optional, no white space); nothing where it is malformed.
std::optional<std::string> base64_decode(std::string_view text);
// URL-safe, without padding.
std::string base64url(std::string_view bytes);

// Takes the answer to one request; may be called from any thread, once.
using Reply = std::move_only_function<void(Response)>;

}  // namespace pomona::server
