// SPDX-License-Identifier: Apache-2.0
#include "pomona/edge/pack.h"

#include <gmock/gmock.h>

#include "pomona/base/error.h"

namespace pomona {
namespace {

TEST(Pack, BrotliComesBackWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "apple " + std::to_string(i * i);
  const std::string packed = brotli_packed(text);
  EXPECT_LT(packed.size(), text.size() / 2);
  EXPECT_EQ(brotli_unpacked(packed, text.size()), text);
  EXPECT_EQ(brotli_unpacked(brotli_packed(""), 0), "");
}

TEST(Pack, BrotliOfAnotherSizeOrDamagedIsRefused) {
  const std::string packed = brotli_packed("a pear, a pear, a pear");
  EXPECT_THROW(brotli_unpacked(packed, 5), Error);
  EXPECT_THROW(brotli_unpacked(packed, 500), Error);
  EXPECT_THROW(brotli_unpacked("no brotli at all", 22), Error);
}

TEST(Pack, GzipCarriesNoTimeSoThatExportsAreTheSame) {
  const std::string packed = gzip_packed("plum");
  ASSERT_GE(packed.size(), 18U);
  EXPECT_EQ(packed.substr(0, 8), std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00", 8));
  EXPECT_EQ(packed, gzip_packed("plum"));
}

}  // namespace
}  // namespace pomona
