// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_feed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>

namespace pomona {
namespace {

// A slow source: every photo comes alone, while several workers wait for many. None may leave before the end.
TEST(PhotoFeed, WorkersStayUntilTheLastPhotoIsTaken) {
  constexpr std::uint64_t kPhotos = 300;
  const PhotoReader reader;
  PhotoFeed feed(reader, {}, {}, [](const std::exception_ptr&) { FAIL(); });
  std::atomic<bool> closing = false;
  std::atomic<int> early = 0;
  std::mutex mutex;
  std::set<std::uint64_t> taken;
  std::vector<std::jthread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      std::vector<FeedPhoto> photos;
      for (;;) {
        if (!feed.pop(8, std::chrono::microseconds(200), true, photos)) {
          if (!closing) ++early;
          return;
        }
        const std::lock_guard lock(mutex);
        for (const FeedPhoto& photo : photos) {
          EXPECT_TRUE(photo.rejection.has_value());
          EXPECT_TRUE(taken.insert(photo.index).second);
        }
      }
    });
  }
  for (std::uint64_t i = 0; i < kPhotos; ++i) {
    Entry entry;
    entry.path = "/nowhere/at/all.jpg";
    ASSERT_TRUE(feed.push(i, std::move(entry)));
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  closing = true;
  feed.close();
  workers.clear();
  EXPECT_EQ(early, 0);
  EXPECT_EQ(taken.size(), kPhotos);
}

// Who holds photos of its own must not wait for others: the listing may be waiting for just these.
TEST(PhotoFeed, PopComesBackWithNothingWhereAskedNotToWait) {
  const PhotoReader reader;
  PhotoFeed feed(reader, {}, {}, [](const std::exception_ptr&) { FAIL(); });
  std::vector<FeedPhoto> photos;
  EXPECT_TRUE(feed.pop(8, std::chrono::microseconds(200), false, photos));
  EXPECT_TRUE(photos.empty());
  feed.close();
  EXPECT_FALSE(feed.pop(8, std::chrono::microseconds(200), false, photos));
  EXPECT_FALSE(feed.pop(8, std::chrono::microseconds(200), true, photos));
}

// What is being read counts by its listed size, so that many threads do not hold many large photos.
TEST(PhotoFeed, LocalDisksGetNoMoreThreadsAndOnePhotoMayExceedTheBound) {
  const PhotoReader reader;
  PhotoFeed::Options options;
  options.threads = 2;
  options.ahead_bytes = 1;
  PhotoFeed feed(reader, options, {}, [](const std::exception_ptr&) { FAIL(); });
  for (std::uint64_t i = 0; i < 20; ++i) {
    Entry entry;
    entry.path = "/nowhere/at/all.jpg";
    entry.bytes = 1000;
    ASSERT_TRUE(feed.push(i, std::move(entry)));
  }
  feed.close();
  std::vector<FeedPhoto> photos;
  std::size_t taken = 0;
  while (feed.pop(1, std::chrono::microseconds(200), true, photos)) taken += photos.size();
  EXPECT_EQ(taken, 20U);
  EXPECT_EQ(feed.threads(), 2);
}

}  // namespace
}  // namespace pomona
