// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/purge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "pomona/base/error.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/storage_test_support.h"

namespace pomona {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

constexpr const char* kRun = "0123456789abcdef";

void write_dataset(const std::string& place, const std::string& finished) {
  const Store dest = Store::open(place);
  Schema schema;
  schema.d = 2;
  begin_run(dest, kRun, {});
  PartWriter writer(dest, schema, kRun, 0);
  Block block;
  for (int i = 0; i < 3; ++i) {
    block.rows.push_back({.path = "photos/" + std::to_string(i) + ".jpg", .label = {}, .split = {}});
    block.vectors.insert(block.vectors.end(), {1, 2});
  }
  block.rejects.push_back(
      {.path = "bad.jpg", .path_bytes = "", .stage = "decode", .reason = "truncated", .bytes = 9});
  writer.write(block);
  finish_run(dest, {{"kind", "features"}, {"finished", finished}}, {writer.finish({})});
}

ErrorCode code_of(const PurgeOptions& options) {
  try {
    purge(options, {});
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(Age, IsANumberAndAUnit) {
  EXPECT_EQ(parse_age("14d"), std::chrono::days(14));
  EXPECT_EQ(parse_age("12h"), std::chrono::hours(12));
  EXPECT_EQ(parse_age("2w"), std::chrono::weeks(2));
  EXPECT_EQ(parse_age("30m"), std::chrono::minutes(30));
  EXPECT_EQ(parse_age("0s"), std::chrono::seconds(0));
  for (const char* text :
       {"", "d", "14", "-1d", "1.5d", "14 d", "14D", "1dd", "99999999999999999999d", "9999999999w", "+3d"}) {
    EXPECT_THROW(parse_age(text), Error) << text;
  }
}

TEST(Purge, CountsRowsAndBytesAndRemovesInPlace) {
  const TemporaryFolder folder;
  write_dataset(folder / "old", "2020-01-31T10:20:30Z");
  write_dataset(folder / "young", "2199-01-01T00:00:00Z");
  PurgeOptions options;
  options.dest = folder.path();
  const PurgeResult dry = purge(options, {});
  ASSERT_EQ(dry.items.size(), 1u);
  EXPECT_EQ(dry.items[0].rows, 3u);
  EXPECT_EQ(dry.items[0].date, "2020-01-31T10:20:30Z");
  EXPECT_EQ(dry.kept, 1u);
  EXPECT_FALSE(dry.items[0].removed);
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "old"))
    bytes += entry.is_regular_file() ? entry.file_size() : 0;
  EXPECT_EQ(dry.bytes, bytes);

  options.yes = true;
  EXPECT_EQ(code_of(options), ErrorCode::kUsage) << "a log is needed";
  options.log = folder / "log";
  const PurgeResult done = purge(options, {});
  ASSERT_EQ(done.items.size(), 1u);
  EXPECT_TRUE(done.items[0].removed);
  EXPECT_FALSE(std::filesystem::exists(folder / "old"));
  EXPECT_EQ(dataset_state(Store::open(folder / "young")), DatasetState::kFinished);
  std::ifstream log(folder / "log");
  std::string line;
  ASSERT_TRUE(std::getline(log, line));
  EXPECT_EQ(nlohmann::json::parse(line)["begins"], "dataset");
  ASSERT_TRUE(std::getline(log, line));
  EXPECT_EQ(nlohmann::json::parse(line)["rows"], 3);
  EXPECT_THAT(line, Not(HasSubstr("photos/0.jpg")));
}

TEST(Purge, ARemovalThatWasBrokenOffIsTakenUpAgain) {
  const TemporaryFolder folder;
  write_dataset(folder / "old", "2020-01-31T10:20:30Z");
  // _SUCCESS and the parts have gone, the record is still there.
  for (const auto& entry : std::filesystem::directory_iterator(folder / "old")) {
    if (entry.path().filename() != "_run.json") std::filesystem::remove_all(entry.path());
  }
  PurgeOptions options{.dest = folder / "old", .yes = true, .log = folder / "log"};
  EXPECT_EQ(purge(options, {}).items.size(), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "old"));
}

TEST(Purge, KnowsItsOwnFilesHoweverLarge) {
  const TemporaryFolder folder;
  const Store results = Store::open(folder.path());
  write_dataset(folder / "features", "2020-01-31T10:20:30Z");
  constexpr std::size_t kPiece = 1 << 20;  // what purge() reads at a time
  results.write("report.html", std::string(2 * kPiece - 3, ' ') + "Pomona" + std::string(kPiece, ' '));
  results.write("model.onnx", std::string(kPiece + 9, ' '));
  results.write("reduced.csv", std::string(2 * kPiece, ' ') + "path,");
  std::vector<std::string> warnings;
  Hooks hooks;
  hooks.warning = [&](const std::string& text) { warnings.push_back(text); };
  const PurgeResult result = purge({.dest = folder.path(), .yes = true, .log = folder / "log"}, hooks);
  ASSERT_EQ(result.items.size(), 2u);
  EXPECT_EQ(result.items[0].what, "report");
  EXPECT_EQ(result.items[0].bytes, 3 * kPiece + 3);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_THAT(warnings[0], HasSubstr("model.onnx is not a file of ours"));
  EXPECT_THAT(warnings[1], HasSubstr("reduced.csv is not a file of ours"));
}

TEST(Purge, StopsBetweenItems) {
  const TemporaryFolder folder;
  write_dataset(folder / "old", "2020-01-31T10:20:30Z");
  std::stop_source stop;
  stop.request_stop();
  PurgeOptions options{.dest = folder.path(), .yes = true, .log = folder / "log"};
  EXPECT_THROW(purge(options, {}, stop.get_token()), Error);
  EXPECT_EQ(dataset_state(Store::open(folder / "old")), DatasetState::kFinished);
}

}  // namespace
}  // namespace pomona
