// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/block_assembler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>

namespace pomona {
namespace {

TEST(BlockAssembler, RestoresTheOrderOfTheListingWhateverTheThreads) {
  constexpr std::uint64_t kPhotos = 1003;
  constexpr std::size_t kRows = 16;
  std::vector<float> seen;
  std::vector<std::string> rejected;
  std::uint64_t expected_block = 0;
  BlockAssembler assembler(kRows, 2, 256, [&](std::uint64_t number, Block&& block, bool kept) {
    EXPECT_EQ(number, expected_block++);
    EXPECT_FALSE(kept);
    ASSERT_EQ(block.vectors.size(), block.rows.size() * 2);
    for (std::size_t i = 0; i < block.rows.size(); ++i) {
      EXPECT_EQ(block.rows[i].path, std::to_string(static_cast<int>(block.vectors[2 * i])));
      seen.push_back(block.vectors[2 * i]);
    }
    for (auto& row : block.rejects) rejected.push_back(row.path);
  });
  std::mutex mutex;
  std::vector<std::uint64_t> admitted;
  std::atomic<bool> listed = false;
  std::vector<std::jthread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&, w] {
      std::mt19937 random(static_cast<unsigned>(w));
      for (;;) {
        std::uint64_t index = 0;
        {
          const std::lock_guard lock(mutex);
          if (admitted.empty()) {
            if (listed) return;
            continue;
          }
          const auto pick = random() % admitted.size();
          index = admitted[pick];
          admitted.erase(admitted.begin() + static_cast<std::ptrdiff_t>(pick));
        }
        if (index % 7 == 3) {
          assembler.reject(index, {std::to_string(index), "", "decode", "bad", 0});
        } else {
          const std::array<float, 2> vector = {static_cast<float>(index), 1};
          RowInfo info;
          info.path = std::to_string(index);
          assembler.put(index, std::move(info), vector);
        }
      }
    });
  }
  for (std::uint64_t i = 0; i < kPhotos; ++i) {
    ASSERT_TRUE(assembler.admit(i, {}));
    const std::lock_guard lock(mutex);
    admitted.push_back(i);
  }
  listed = true;
  assembler.end(kPhotos);
  workers.clear();
  assembler.wait({});
  EXPECT_EQ(seen.size() + rejected.size(), kPhotos);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
  EXPECT_EQ(rejected.front(), "3");
  EXPECT_EQ(expected_block, (kPhotos + kRows - 1) / kRows);
}

TEST(BlockAssembler, PassesKeptBlocksOnInTheirPlace) {
  std::vector<std::pair<std::uint64_t, bool>> calls;
  BlockAssembler assembler(
      2, 1, 8, [&](std::uint64_t number, Block&&, bool kept) { calls.emplace_back(number, kept); });
  const std::array<float, 1> one = {1};
  assembler.put(0, {}, one);
  assembler.keep(1, 2);
  EXPECT_TRUE(calls.empty()) << "block 0 is not complete yet";
  assembler.put(1, {}, one);
  assembler.put(6, {}, one);
  assembler.end(7);
  assembler.wait({});
  const std::vector<std::pair<std::uint64_t, bool>> expected = {{0, false}, {1, true}, {2, true}, {3, false}};
  EXPECT_EQ(calls, expected);
}

TEST(BlockAssembler, HoldsTheListingBackAndLetsItGoWhenStopped) {
  BlockAssembler assembler(2, 1, 4, [](std::uint64_t, Block&&, bool) {});
  std::stop_source stop;
  EXPECT_TRUE(assembler.admit(3, stop.get_token()));
  std::jthread later([&] { stop.request_stop(); });
  EXPECT_FALSE(assembler.admit(4, stop.get_token()));
}

}  // namespace
}  // namespace pomona
