// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/seen_photos.h"

#include <gtest/gtest.h>

#include <cstring>

namespace pomona {
namespace {

std::vector<ContentHash> hashes(int first, int count) {
  std::vector<ContentHash> all;
  for (int i = first; i < first + count; ++i) all.push_back(content_hash(std::as_bytes(std::span(&i, 1))));
  return all;
}

TEST(SeenPhotos, KnowsAllItSawAndFewThatItDidNot) {
  const auto seen = SeenPhotos::of(hashes(0, 5000));
  for (const auto& hash : hashes(0, 5000)) ASSERT_TRUE(seen.may_contain(hash));
  int wrong = 0;
  for (const auto& hash : hashes(5000, 200'000)) wrong += seen.may_contain(hash);
  EXPECT_LT(wrong, 20);  // one in ten thousand
  EXPECT_TRUE(seen.complete());
}

TEST(SeenPhotos, ComesBackFromItsRecord) {
  auto all = hashes(0, 100);
  all.push_back({});
  const auto seen = SeenPhotos::from_json(nlohmann::json::parse(SeenPhotos::of(all).to_json().dump()));
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->complete());
  for (const auto& hash : hashes(0, 100)) EXPECT_TRUE(seen->may_contain(hash));
}

TEST(SeenPhotos, NoPhotosAreNoneOfAny) {
  EXPECT_FALSE(SeenPhotos::of({}).may_contain(hashes(1, 1)[0]));
}

TEST(SeenPhotos, DamagedRecordsAreNone) {
  const auto good = SeenPhotos::of(hashes(0, 3)).to_json();
  EXPECT_FALSE(SeenPhotos::from_json({}));
  EXPECT_FALSE(SeenPhotos::from_json("bloom"));
  for (const char* name : {"kind", "probes", "photos", "unknown", "bits"}) {
    auto bad = good;
    bad.erase(name);
    EXPECT_FALSE(SeenPhotos::from_json(bad)) << name;
    bad[name] = nlohmann::json::array();
    EXPECT_FALSE(SeenPhotos::from_json(bad)) << name;
  }
  auto bad = good;
  bad["bits"] = "";
  EXPECT_FALSE(SeenPhotos::from_json(bad));
  bad["bits"] = "0g";
  EXPECT_FALSE(SeenPhotos::from_json(bad));
}

}  // namespace
}  // namespace pomona
