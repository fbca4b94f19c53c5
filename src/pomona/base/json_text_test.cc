// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace pomona {
namespace {

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST(JsonText, ReadsWhatIsJson) {
  EXPECT_EQ(parse_json(R"({"a": [1, "[[", "\"{"]})")["a"][1], "[[");
  EXPECT_TRUE(parse_json("{").is_discarded());
  EXPECT_TRUE(parse_json("").is_discarded());
  EXPECT_TRUE(parse_json("]]]]").is_discarded());
}

TEST(JsonText, RefusesWhatWouldUseUpTheStackWhenCopied) {
  EXPECT_TRUE(parse_json(nested(kDeepestJson)).is_array());
  EXPECT_TRUE(parse_json(nested(kDeepestJson + 1)).is_discarded());
  EXPECT_TRUE(parse_json(nested(1'000'000)).is_discarded());
  EXPECT_TRUE(parse_json("{\"a\":" + nested(100'000) + "}").is_discarded());
}

TEST(JsonText, BracketsInStringsAreText) {
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\"").is_string());
  EXPECT_TRUE(parse_json("[\"\\\"" + std::string(1000, '{') + "\"]").is_array());
}

}  // namespace
}  // namespace pomona
