// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_twins.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

namespace pomona {
namespace {

constexpr std::size_t kD = 3;
using Vector = std::array<float, kD>;
using Claim = PhotoTwins::Claim;

PhotoTwins::Content content(int photo) {
  return {content_hash(std::as_bytes(std::span(&photo, 1))), 4};
}
Vector vector_of(int photo) {
  const auto value = static_cast<float>(photo);
  return {value, value + 0.25F, value + 0.5F};
}
PhotoTwins::Twin named(std::string path, std::uint64_t index = 0) {
  PhotoTwins::Twin photo;
  photo.index = index;
  photo.info.path = std::move(path);
  return photo;
}

TEST(PhotoTwins, GivesTheVectorOfTheFirstToThoseAfterIt) {
  PhotoTwins twins(kD);
  auto first = named("first");
  Vector vector{};
  ASSERT_EQ(twins.claim(content(7), first, vector), Claim::kCompute);
  EXPECT_TRUE(twins.settle(content(7), {.width = 40, .height = 30}, vector_of(7)).empty());
  auto second = named("second");
  ASSERT_EQ(twins.claim(content(7), second, vector), Claim::kKnown);
  EXPECT_EQ(vector, vector_of(7));
  EXPECT_EQ(second.info.path, "second");
  EXPECT_EQ(second.info.width, 40);
  EXPECT_EQ(second.info.height, 30);
  ASSERT_EQ(twins.claim(content(8), second, vector), Claim::kCompute);
}

TEST(PhotoTwins, HandsThoseThatWaitToWhoComputes) {
  PhotoTwins twins(kD);
  Vector vector{};
  auto first = named("first", 10), second = named("second", 11), third = named("third", 12);
  ASSERT_EQ(twins.claim(content(1), first, vector), Claim::kCompute);
  ASSERT_EQ(twins.claim(content(1), second, vector), Claim::kWait);
  ASSERT_EQ(twins.claim(content(1), third, vector), Claim::kWait);
  const auto waiting = twins.settle(content(1), {.width = 5, .height = 6}, vector_of(1));
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0].index, 11u);
  EXPECT_EQ(waiting[0].info.path, "second");
  EXPECT_EQ(waiting[1].info.path, "third");
  EXPECT_EQ(waiting[1].info.height, 6);
}

TEST(PhotoTwins, OneThatIsNoPhotoIsNotKept) {
  PhotoTwins twins(kD);
  Vector vector{};
  auto first = named("first"), second = named("second");
  ASSERT_EQ(twins.claim(content(1), first, vector), Claim::kCompute);
  ASSERT_EQ(twins.claim(content(1), second, vector), Claim::kWait);
  ASSERT_EQ(twins.give_up(content(1)).size(), 1u);
  EXPECT_EQ(twins.claim(content(1), first, vector), Claim::kCompute);
}

TEST(PhotoTwins, TheSameHashOfAnotherLengthIsAnotherPhoto) {
  PhotoTwins twins(kD);
  Vector vector{};
  PhotoTwins::Twin info;
  PhotoTwins::Content longer = content(1);
  ++longer.bytes;
  ASSERT_EQ(twins.claim(content(1), info, vector), Claim::kCompute);
  EXPECT_EQ(twins.claim(longer, info, vector), Claim::kCompute);
}

TEST(PhotoTwins, KeepsNoMoreThanItMay) {
  constexpr int kKept = 100;  // more than a chunk, and no multiple of it
  PhotoTwins twins(kD, kKept * kD * sizeof(float));
  Vector vector{};
  PhotoTwins::Twin info;
  for (int photo = 0; photo < 1000; ++photo) {
    ASSERT_EQ(twins.claim(content(photo), info, vector), Claim::kCompute);
    twins.settle(content(photo), {}, vector_of(photo));
  }
  for (int photo = 1000 - kKept; photo < 1000; ++photo) {
    ASSERT_EQ(twins.claim(content(photo), info, vector), Claim::kKnown) << photo;
    ASSERT_EQ(vector, vector_of(photo));
  }
  EXPECT_EQ(twins.claim(content(1000 - kKept - 1), info, vector), Claim::kCompute);
}

TEST(PhotoTwins, FromManyThreadsEachPhotoGetsItsVectorOnce) {
  constexpr int kPhotos = 200;
  constexpr int kCopies = 20;
  PhotoTwins twins(kD, 50 * kD * sizeof(float));
  std::atomic<int> next = 0;
  std::array<std::atomic<int>, kPhotos * kCopies> served{};
  std::atomic<int> wrong = 0;
  const auto work = [&] {
    for (int i = next++; i < kPhotos * kCopies; i = next++) {
      const int photo = i / kCopies;
      auto twin = named("", static_cast<std::uint64_t>(i));
      Vector vector{};
      switch (twins.claim(content(photo), twin, vector)) {
        case Claim::kCompute:
          for (const auto& other : twins.settle(content(photo), {}, vector_of(photo))) {
            ++served[other.index];
            wrong += other.index / kCopies != static_cast<std::uint64_t>(photo);
          }
          ++served[static_cast<std::size_t>(i)];
          break;
        case Claim::kWait:
          break;
        case Claim::kKnown:
          wrong += vector != vector_of(photo);
          ++served[static_cast<std::size_t>(i)];
          break;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  }
  EXPECT_EQ(wrong, 0);
  for (const auto& times : served) ASSERT_EQ(times, 1);
}

}  // namespace
}  // namespace pomona
