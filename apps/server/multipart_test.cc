// SPDX-License-Identifier: Apache-2.0
#include "multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace pomona::server {
namespace {

using testing::HasSubstr;

constexpr const char* kType = "multipart/form-data; boundary=XyZ";

std::string part(const std::string& header, const std::string& data) {
  return "--XyZ\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + data + "\r\n";
}

TEST(Multipart, PartsComeWithNamesAndBytes) {
  const std::string body =
      part("name=\"photo\"; filename=\"a \\\"b\\\".jpg\"\r\nContent-Type: Image/JPEG; q=1",
           std::string("\r\n--Xy\0\xff", 8)) +
      part("name=label", "") + "--XyZ--\r\n";
  const auto parts = parse_multipart(kType, body);
  ASSERT_TRUE(parts.has_value()) << parts.error();
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[0].name, "photo");
  EXPECT_EQ((*parts)[0].filename, "a \"b\".jpg");
  EXPECT_EQ((*parts)[0].content_type, "image/jpeg");
  EXPECT_EQ((*parts)[0].data, std::string_view("\r\n--Xy\0\xff", 8));
  EXPECT_EQ((*parts)[1].name, "label");
  EXPECT_EQ((*parts)[1].filename, std::nullopt);
  EXPECT_EQ((*parts)[1].data, "");
}

TEST(Multipart, PreambleEpilogueAndQuotedBoundary) {
  // Parts point into the body, which stays until they are looked at.
  const std::string body = "preamble\r\n" + part("name=a", "1") + "--XyZ--\r\nepilogue";
  const auto parts = parse_multipart("Multipart/Form-Data; charset=utf-8; boundary=\"XyZ\"", body);
  ASSERT_TRUE(parts.has_value()) << parts.error();
  EXPECT_EQ(parts->at(0).data, "1");
}

TEST(Multipart, MalformedIsRefusedWithAReason) {
  const auto reason = [](const std::string& type, const std::string& body) {
    const auto parts = parse_multipart(type, body);
    return parts ? std::string("taken") : parts.error();
  };
  const std::string good = part("name=a", "1") + "--XyZ--";
  EXPECT_EQ(reason(kType, good), "taken");
  EXPECT_THAT(reason("multipart/form-data", good), HasSubstr("no boundary"));
  EXPECT_THAT(reason("multipart/form-data; boundary=" + std::string(71, 'x'), good), HasSubstr("70"));
  EXPECT_THAT(reason(kType, "nothing"), HasSubstr("does not occur"));
  EXPECT_THAT(reason(kType, part("name=a", "1") + "--Xy"), HasSubstr("cut off"));
  EXPECT_THAT(reason(kType, "--XyZ\r\nContent-Disposition: form-data; name=a"), HasSubstr("does not end"));
  EXPECT_THAT(reason(kType, "--XyZ\r\nX: 1\r\n\r\n1\r\n--XyZ--"), HasSubstr("no name"));
  EXPECT_THAT(reason(kType, "--XyZ\r\nnonsense\r\n\r\n1\r\n--XyZ--"), HasSubstr("colon"));
  EXPECT_THAT(reason(kType, part("name=a", "1") + "--XyZabc"), HasSubstr("end of its line"));
  EXPECT_THAT(reason(kType, "--XyZ\r\nX: " + std::string(5000, 'x') + "\r\n\r\n1\r\n--XyZ--"),
              HasSubstr("end"));
  std::string many;
  for (int i = 0; i < 100; ++i) many += part("name=a", "1");
  EXPECT_THAT(reason(kType, many + "--XyZ--"), HasSubstr("64 parts"));
}

// Whatever bytes come, parts lie within the body.
TEST(Multipart, AnyCutAndAnyChangeIsSurvived) {
  const std::string body =
      "pre\r\n" + part("name=\"photo\"; filename=\"a\"", "data\r\n-") + part("name=b", "") + "--XyZ--\r\n";
  const auto check = [](const std::string& text) {
    const auto parts = parse_multipart(kType, text);
    if (!parts) return;
    for (const Part& one : *parts) {
      if (one.data.empty()) continue;
      EXPECT_GE(one.data.data(), text.data());
      EXPECT_LE(one.data.data() + one.data.size(), text.data() + text.size());
    }
  };
  for (std::size_t cut = 0; cut < body.size(); ++cut) check(body.substr(0, cut));
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = body;
    for (int n = 0; n < 3; ++n) changed[random() % changed.size()] = "\r\n-XyZ:;=\"\\a\0"[random() % 13];
    check(changed);
  }
}

}  // namespace
}  // namespace pomona::server
