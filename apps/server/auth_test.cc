// SPDX-License-Identifier: Apache-2.0
#include "auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"

namespace pomona::server {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Tokens, AreKnownAgainByTheirHashOnly) {
  TokenFile file;
  const std::string token = file.add("phone-app", kClassify | kContribute);
  EXPECT_GE(token.size(), 43u + 7u);
  const TokenRecord* found = file.find(token);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->name, "phone-app");
  EXPECT_EQ(found->scopes, kClassify | kContribute);
  EXPECT_EQ(found->sha256, sha256_hex(token));
  EXPECT_EQ(file.find(token.substr(0, token.size() - 1)), nullptr);
  EXPECT_EQ(file.find(found->sha256), nullptr) << "the hash is no token";
  EXPECT_NE(file.add("other", kAdmin), token);
}

TEST(Tokens, FileComesBackWithoutTheSecret) {
  TokenFile file;
  const std::string token = file.add("a", kAdmin);
  const auto path = std::filesystem::path(testing::TempDir()) / "tokens-test";
  file.write(path);
  const auto mode = std::filesystem::status(path).permissions();
  EXPECT_EQ(mode & std::filesystem::perms(077), std::filesystem::perms::none);
  TokenFile again = TokenFile::read(path);
  ASSERT_NE(again.find(token), nullptr);
  EXPECT_TRUE(again.remove("a"));
  EXPECT_FALSE(again.remove("a"));
  EXPECT_EQ(again.find(token), nullptr);
  std::filesystem::remove(path);
}

TEST(Tokens, DamagedLinesAndBadNamesAreNamed) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      TokenFile::parse(text, "tokens");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("# a comment\n\n"), "");
  EXPECT_THAT(message("a classify 12 2026-01-01\n"), HasSubstr("line 1"));
  EXPECT_THAT(message("a root " + std::string(64, 'a') + " 2026-01-01\n"), HasSubstr("root"));
  TokenFile file;
  EXPECT_THROW(file.add("two words", kAdmin), Error);
  EXPECT_THROW(file.add("a", kNobody), Error);
  file.add("a", kAdmin);
  EXPECT_THROW(file.add("a", kClassify), Error);
}

TEST(Tokens, BearerHeader) {
  EXPECT_EQ(bearer("Bearer abc"), "abc");
  EXPECT_EQ(bearer("bearer   abc"), "abc");
  EXPECT_EQ(bearer("Basic abc"), std::nullopt);
  EXPECT_EQ(bearer("Bearer"), std::nullopt);
  EXPECT_EQ(scopes_text(parse_scopes("admin,classify")), "classify,admin");
}

}  // namespace
}  // namespace pomona::server
