// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/escape.h"

#include <gtest/gtest.h>

#include "pomona/base/random_bytes.h"

namespace pomona {
namespace {

TEST(Escape, WhatIsEncodedComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(from_hex(hex_text(all)), all);
  EXPECT_EQ(percent_encode("a-Z_0.~ /\xC3\xA4"), "a-Z_0.~%20%2F%C3%A4");
  EXPECT_EQ(hex_text(std::string("\0\x1f\xa0", 3)), "001fa0");
}

TEST(Escape, WhatIsNoEscapeStays) {
  EXPECT_EQ(percent_decode("100 % %4 %zz %41%6a%4A%"), "100 % %4 %zz AjJ%");
  EXPECT_EQ(percent_decode("%25%34%31"), "%41") << "once only";
  EXPECT_EQ(from_hex("AbF0"), std::string("\xab\xf0"));
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("0g"));
}

TEST(RandomBytes, DifferEachTime) {
  EXPECT_EQ(random_bytes(33).size(), 33U);
  EXPECT_NE(random_bytes(32), random_bytes(32));
}

}  // namespace
}  // namespace pomona
