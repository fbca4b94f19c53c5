// SPDX-License-Identifier: Apache-2.0
#include "proxies.h"

#include <gtest/gtest.h>

#include "pomona/base/error.h"

namespace pomona::server {
namespace {

Request from(std::string peer, std::vector<std::string> forwarded) {
  Request request;
  request.client = std::move(peer);
  for (std::string& line : forwarded) request.headers.emplace_back("x-forwarded-for", std::move(line));
  return request;
}

TEST(TrustedProxies, RangesOfBothFamilies) {
  const auto proxies = TrustedProxies::parse("10.0.0.0/8, 192.0.2.1,fd00::/9");
  EXPECT_TRUE(proxies.contains("10.255.0.1"));
  EXPECT_TRUE(proxies.contains("::ffff:10.1.2.3"));
  EXPECT_FALSE(proxies.contains("11.0.0.1"));
  EXPECT_TRUE(proxies.contains("192.0.2.1"));
  EXPECT_FALSE(proxies.contains("192.0.2.2"));
  EXPECT_TRUE(proxies.contains("fd7f::1"));
  EXPECT_FALSE(proxies.contains("fd80::1"));
  EXPECT_FALSE(proxies.contains("nobody"));
  EXPECT_TRUE(TrustedProxies::parse("0.0.0.0/0").contains("203.0.113.9"));
  EXPECT_FALSE(TrustedProxies::parse("0.0.0.0/0").contains("2001:db8::1"));
  EXPECT_FALSE(TrustedProxies::parse("::/0").contains("203.0.113.9"));
  EXPECT_TRUE(TrustedProxies::parse("").empty());
}

TEST(TrustedProxies, WhatIsNoRangeIsRefused) {
  for (const char* text :
       {"10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "fd00::/129", "::1/", "a.example", "10.0.0.1,,"}) {
    EXPECT_THROW(TrustedProxies::parse(text), Error) << text;
  }
}

TEST(TrustedProxies, TheClientIsTheLastWhoIsNoProxy) {
  const auto proxies = TrustedProxies::parse("10.0.0.0/8,fd00::/8");
  EXPECT_EQ(proxies.client(from("203.0.113.9", {"198.51.100.1"})), "203.0.113.9")
      << "anybody can send the header";
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"198.51.100.1"})), "198.51.100.1");
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"1.1.1.1, 198.51.100.1"})), "198.51.100.1")
      << "the client wrote 1.1.1.1";
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"198.51.100.1, 10.0.0.7"})), "198.51.100.1");
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"1.1.1.1", "198.51.100.1", "10.0.0.7,10.0.0.8"})),
            "198.51.100.1");
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"10.0.0.5"})), "10.0.0.5")
      << "a client within the proxies' network";
  EXPECT_EQ(proxies.client(from("fd00::1", {"[2001:db8::7]:4711"})), "2001:db8::7");
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"198.51.100.1:4711"})), "198.51.100.1");
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"::ffff:198.51.100.1"})), "198.51.100.1");
}

TEST(TrustedProxies, BrokenHeadersLeaveWhoPassedThemOn) {
  const auto proxies = TrustedProxies::parse("10.0.0.0/8");
  EXPECT_EQ(proxies.client(from("10.0.0.1", {})), "10.0.0.1");
  for (const char* text : {"", ",", "unknown", "[2001:db8::7", "198.51.100.1,", "198.51.100.256"}) {
    EXPECT_EQ(proxies.client(from("10.0.0.1", {text})), "10.0.0.1") << text;
  }
  EXPECT_EQ(proxies.client(from("10.0.0.1", {"x, 10.0.0.2"})), "10.0.0.2");
  EXPECT_EQ(TrustedProxies().client(from("10.0.0.1", {"198.51.100.1"})), "10.0.0.1")
      << "nobody is trusted unless named";
}

}  // namespace
}  // namespace pomona::server
