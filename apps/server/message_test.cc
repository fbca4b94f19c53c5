// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include <gtest/gtest.h>

namespace pomona::server {
namespace {

Request parsed(const std::string& target, bool good = true) {
  Request request;
  request.target = target;
  EXPECT_EQ(parse_target(request), good) << target;
  return request;
}

TEST(Target, IsSplitAndDecoded) {
  const Request request = parsed("/v1/a%20b?model=x%26y&top=3&flag&=&text=a+b");
  EXPECT_EQ(request.path, "/v1/a b");
  EXPECT_EQ(request.parameter("model"), "x&y");
  EXPECT_EQ(request.parameter("top"), "3");
  EXPECT_EQ(request.parameter("flag"), "");
  EXPECT_EQ(request.parameter("text"), "a b");
  EXPECT_EQ(request.parameter("none"), std::nullopt);
}

TEST(Target, MalformedIsRefused) {
  for (const char* target : {"", "v1", "http://host/", "/%", "/%4", "/%zz", "/a%00b", "/?a=%f", "*"}) {
    parsed(target, false);
  }
}

TEST(Base64, AsTheStandardSays) {
  EXPECT_EQ(base64_decode("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
  EXPECT_EQ(base64_decode("Zm9vYg"), "foob");
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("A"), std::nullopt);
  EXPECT_EQ(base64_decode("Zm9v YmFy"), std::nullopt);
  EXPECT_EQ(base64url(std::string("\xfb\xff\xfe", 3)), "-__-");
  EXPECT_EQ(base64url("foob"), "Zm9vYg");
}

TEST(Errors, HaveACodeAndASentence) {
  const Response response = error_response(404, "no_such_path", "there is \"nothing\"");
  EXPECT_EQ(response.body,
            "{\"error\":{\"code\":\"no_such_path\",\"message\":\"there is \\\"nothing\\\"\"}}\n");
}

}  // namespace
}  // namespace pomona::server
