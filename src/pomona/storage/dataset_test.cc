// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>

#include "pomona/base/paths.h"
#include "pomona/storage/hold_place.h"
#include "pomona/storage/storage_test_support.h"

namespace pomona {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

constexpr const char* kRun = "0123456789abcdef";

Block make_block(int rows, int d, int seed) {
  Block block;
  for (int i = 0; i < rows; ++i) {
    RowInfo row;
    row.path = "photos/a \"b\", c\n" + std::to_string(seed) + "/" + std::to_string(i) + ".jpg";
    if (i % 3 != 0) row.label = i % 3 == 1 ? "Apple, red" : "";
    row.split = i % 2 == 0 ? "Training" : "Test";
    row.width = 100 + i;
    row.height = 200 + i;
    row.hash[0] = static_cast<std::uint8_t>(seed);
    row.hash[15] = static_cast<std::uint8_t>(i);
    block.rows.push_back(row);
    for (int k = 0; k < d; ++k) {
      block.vectors.push_back(
          static_cast<float>(std::sin(seed * 1000.0 + i * 17.0 + k) * std::pow(10.0, k % 9 - 4)));
    }
  }
  return block;
}

Schema make_schema(int d, Format format) {
  Schema schema;
  schema.d = d;
  schema.labels = schema.splits = true;
  schema.format = format;
  return schema;
}

std::vector<Block> read_all(const DatasetReader& reader, bool with_vectors = true) {
  std::vector<Block> blocks;
  reader.read(with_vectors, [&](Block&& block) {
    blocks.push_back(std::move(block));
    return true;
  });
  return blocks;
}

// Two parts, the second with a reject, finished.
std::vector<PartRecord> write_dataset(const Store& dest, Format format, int d = 5) {
  const Schema schema = make_schema(d, format);
  begin_run(dest, kRun, {{"options", 1}});
  std::vector<PartRecord> records;
  for (int part = 0; part < 2; ++part) {
    PartWriter writer(dest, schema, kRun, static_cast<std::uint64_t>(part));
    writer.write(make_block(7, d, part * 2));
    Block block = make_block(3, d, part * 2 + 1);
    if (part == 1) block.rejects.push_back({"b%FF.jpg", "b\xff.jpg", "decode", "truncated", 17});
    writer.write(block);
    records.push_back(writer.finish({{"digest", part}}));
  }
  return records;
}

class Formats : public ::testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(All, Formats, ::testing::Values(Format::kParquet, Format::kCsv),
                         [](const auto& format) { return std::string(to_string(format.param)); });

TEST_P(Formats, RoundTripsEveryColumnExactly) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  EXPECT_EQ(dataset_state(dest), DatasetState::kAbsent);
  const auto records = write_dataset(dest, GetParam());
  EXPECT_EQ(dataset_state(dest), DatasetState::kUnfinished);
  finish_run(dest, {{"version", "x"}}, records);
  EXPECT_EQ(dataset_state(dest), DatasetState::kFinished);
  const std::string suffix = GetParam() == Format::kCsv ? ".csv" : ".snappy.parquet";
  EXPECT_THAT(dest.list(""),
              ElementsAre("_SUCCESS", "_rejects/", "_run.json", "part-00000-0123456789abcdef" + suffix,
                          "part-00001-0123456789abcdef" + suffix));

  const auto reader = DatasetReader::open(dest);
  EXPECT_EQ(reader.rows(), 20U);
  EXPECT_EQ(reader.schema().d, 5);
  EXPECT_EQ(reader.schema().vector_column, "features");
  EXPECT_EQ(reader.schema().format, GetParam());
  EXPECT_TRUE(reader.schema().labels);
  EXPECT_EQ(reader.run()["version"], "x");
  std::vector<RowInfo> rows;
  std::vector<float> vectors;
  for (const Block& block : read_all(reader)) {
    rows.insert(rows.end(), block.rows.begin(), block.rows.end());
    vectors.insert(vectors.end(), block.vectors.begin(), block.vectors.end());
  }
  std::size_t at = 0;
  for (int seed = 0; seed < 4; ++seed) {
    const Block expected = make_block(seed % 2 == 0 ? 7 : 3, 5, seed);
    for (std::size_t i = 0; i < expected.rows.size(); ++i, ++at) {
      ASSERT_LT(at, rows.size());
      EXPECT_EQ(rows[at].path, expected.rows[i].path);
      EXPECT_EQ(rows[at].label, expected.rows[i].label);
      EXPECT_EQ(rows[at].split, expected.rows[i].split);
      if (GetParam() == Format::kParquet) {
        EXPECT_EQ(rows[at].width, expected.rows[i].width);
        EXPECT_EQ(rows[at].height, expected.rows[i].height);
        EXPECT_EQ(rows[at].hash, expected.rows[i].hash);
      }
      for (std::size_t k = 0; k < 5; ++k) EXPECT_EQ(vectors[at * 5 + k], expected.vectors[i * 5 + k]);
    }
  }
  EXPECT_EQ(at, rows.size());
  const auto rejects = reader.rejects();
  ASSERT_EQ(rejects.size(), 1U);
  EXPECT_EQ(rejects[0].path, "b%FF.jpg");
  EXPECT_EQ(rejects[0].path_bytes, "b\xff.jpg");
  EXPECT_EQ(rejects[0].stage, "decode");
  EXPECT_EQ(rejects[0].reason, "truncated");
  EXPECT_EQ(rejects[0].bytes, 17);
}

TEST_P(Formats, BytesDependOnTheInputOnly) {
  const TemporaryFolder folder;
  const auto first = write_dataset(Store::open(folder / "a"), GetParam());
  const auto second = write_dataset(Store::open(folder / "b"), GetParam());
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(first[i].sha256, second[i].sha256);
    EXPECT_EQ(sha256_file(folder / ("a/" + first[i].file)), first[i].sha256);
  }
}

TEST_P(Formats, ReadsWithoutVectors) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  finish_run(dest, {}, write_dataset(dest, GetParam()));
  std::uint64_t rows = 0;
  for (const Block& block : read_all(DatasetReader::open(dest), false)) {
    EXPECT_TRUE(block.vectors.empty());
    rows += block.rows.size();
  }
  EXPECT_EQ(rows, 20U);
}

TEST_P(Formats, KeepsFloatsThatAreNoNumbers) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  Schema schema;
  schema.vector_column = "components";
  schema.d = 6;
  schema.format = GetParam();
  PartWriter writer(dest, schema, kRun, 0);
  Block block = make_block(1, 6, 1);
  using Limits = std::numeric_limits<float>;
  block.vectors = {Limits::quiet_NaN(),  Limits::infinity(), -Limits::infinity(),
                   Limits::denorm_min(), -Limits::max(),     -0.0F};
  writer.write(block);
  finish_run(dest, {}, {writer.finish({})});
  const auto reader = DatasetReader::open(dest);
  EXPECT_EQ(reader.schema().vector_column, "components");
  EXPECT_FALSE(reader.schema().labels);
  const auto blocks = read_all(reader);
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_TRUE(std::isnan(blocks[0].vectors[0]));
  EXPECT_TRUE(std::signbit(blocks[0].vectors[5]));
  for (std::size_t i = 1; i < 6; ++i) EXPECT_EQ(blocks[0].vectors[i], block.vectors[i]);
}

TEST(Dataset, OneRowGroupPerBlock) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  finish_run(dest, {}, write_dataset(dest, Format::kParquet));
  std::vector<std::size_t> sizes;
  for (const Block& block : read_all(DatasetReader::open(dest))) sizes.push_back(block.rows.size());
  EXPECT_THAT(sizes, ElementsAre(7, 3, 7, 3));
}

// What a part holds, read by so many threads, until `most` row groups were taken.
std::vector<Block> read_ahead(const Store& dest, const Schema& schema, const PartRecord& part, int threads,
                              std::size_t most = 1000) {
  std::vector<Block> blocks;
  const auto sink = [&](Block&& block) {
    blocks.push_back(std::move(block));
    return blocks.size() < most;
  };
  DatasetReader::open_parts(dest, schema, {part}).read_part(0, true, sink, threads);
  return blocks;
}

TEST(Dataset, RowGroupsReadSideBySideComeInOrder) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const Schema schema = make_schema(256, Format::kParquet);
  begin_run(dest, kRun, {});
  PartWriter writer(dest, schema, kRun, 0);
  for (int i = 0; i < 60; ++i) writer.write(make_block(1 + i % 7, 256, i));
  const PartRecord part = writer.finish({});

  const std::vector<Block> one = read_ahead(dest, schema, part, 1);
  ASSERT_EQ(one.size(), 60U);
  for (const int threads : {2, 4, 100}) {
    const std::vector<Block> many = read_ahead(dest, schema, part, threads);
    ASSERT_EQ(many.size(), one.size());
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(many[i].vectors, one[i].vectors);
      EXPECT_EQ(many[i].rows.front().hash, one[i].rows.front().hash);
    }
  }
  EXPECT_EQ(read_ahead(dest, schema, part, 4, 3).size(), 3U);

  // Damaged in the middle: what came before is handed on, then the error.
  std::string bytes = dest.read(part.file);
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 3), 8000, '\xff');
  dest.write(part.file, bytes);
  for (const int threads : {1, 4}) {
    std::size_t taken = 0;
    const auto sink = [&](Block&&) { return ++taken < 1000; };
    const auto reader = DatasetReader::open_parts(dest, schema, {part});
    EXPECT_THROW(reader.read_part(0, true, sink, threads), Error);
    EXPECT_GT(taken, 5U);
    EXPECT_LT(taken, 40U);
  }
}

// Opening it for each row group would ask a distant store twice as often as reading does.
TEST(Dataset, APartIsOpenedOnceForAllItsRowGroups) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const auto records = write_dataset(dest, Format::kParquet);
  const auto reader = DatasetReader::open_parts(dest, make_schema(5, Format::kParquet), records);
  EXPECT_EQ(reader.row_groups(1), 2U);
  for (const PartRecord& part : records) dest.remove(part.file);
  EXPECT_EQ(reader.read_row_group(1, 0, true).vectors, make_block(7, 5, 2).vectors);
  EXPECT_EQ(reader.read_row_group(1, 1, true).vectors, make_block(3, 5, 3).vectors);
  EXPECT_THROW((void)reader.read_row_group(0, 0, true), Error);
}

TEST(Dataset, APartWithoutRowsHasNoFile) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  begin_run(dest, kRun, {});
  PartWriter writer(dest, make_schema(4, Format::kParquet), kRun, 0);
  Block block;
  block.rejects.push_back({"a.jpg", "", "read", "gone", -1});
  writer.write(block);
  const PartRecord record = writer.finish({});
  EXPECT_EQ(record.file, "");
  EXPECT_EQ(record.rejected, 1U);
  const auto unfinished = find_unfinished(dest);
  ASSERT_TRUE(unfinished);
  EXPECT_EQ(unfinished->parts.size(), 1U);
  finish_run(dest, {}, {record});
  const auto reader = DatasetReader::open(dest);
  EXPECT_EQ(reader.rows(), 0U);
  EXPECT_EQ(reader.rejects().size(), 1U);
  EXPECT_THAT(read_all(reader), IsEmpty());
}

TEST(Dataset, AnAbandonedPartLeavesNothing) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  {
    PartWriter writer(dest, make_schema(4, Format::kParquet), kRun, 0);
    writer.write(make_block(5, 4, 0));
    EXPECT_EQ(dest.list("_temporary/0123456789abcdef").size(), 1U);
  }
  EXPECT_THAT(dest.list("_temporary/0123456789abcdef"), IsEmpty());
  EXPECT_THAT(dest.list(""), ElementsAre("_temporary/"));
  EXPECT_EQ(dataset_state(dest), DatasetState::kUnfinished);
}

TEST(Dataset, FindsPublishedPartsAndLeavesDamagedOnesOut) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  auto records = write_dataset(dest, Format::kParquet);
  auto run = find_unfinished(dest);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->run_id, kRun);
  EXPECT_EQ(run->header["options"], 1);
  ASSERT_EQ(run->parts.size(), 2U);
  EXPECT_EQ(run->parts[1].sha256, records[1].sha256);
  EXPECT_EQ(run->parts[1].extra["digest"], 1);

  // Same size, but no Parquet file any more.
  std::filesystem::resize_file(folder / ("out/" + records[0].file), 0);
  std::filesystem::resize_file(folder / ("out/" + records[0].file), records[0].bytes);
  run = find_unfinished(dest);
  ASSERT_EQ(run->parts.size(), 1U);
  EXPECT_EQ(run->parts[0].index, 1U);
  dest.remove(records[1].file);
  EXPECT_THAT(find_unfinished(dest)->parts, IsEmpty());
  dest.write("_temporary/0123456789abcdef/part-00001.json", "{\"file\": 7");
  EXPECT_THAT(find_unfinished(dest)->parts, IsEmpty());
}

TEST(Dataset, FinishingRemovesWhatNoRecordNamesButNothingOfOthers) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const auto records = write_dataset(dest, Format::kParquet);
  folder.add("out/part-00009-ffffffffffffffff.snappy.parquet");
  folder.add("out/notes.txt");
  folder.add("out/part-00000-mine.parquet");
  finish_run(dest, {}, {records[0]});
  EXPECT_THAT(dest.list(""),
              ElementsAre("_SUCCESS", "_run.json", "notes.txt", records[0].file, "part-00000-mine.parquet"));
  remove_dataset(dest);
  EXPECT_THAT(dest.list(""), ElementsAre("notes.txt", "part-00000-mine.parquet"));
  EXPECT_EQ(dataset_state(dest), DatasetState::kForeign);
}

TEST(Dataset, OfTwoRunsOneGivesWay) {
  constexpr const char* kOther = "fedcba9876543210";
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  begin_run(dest, kOther, {});
  PartWriter slow(dest, make_schema(3, Format::kParquet), kOther, 0);
  slow.write(make_block(4, 3, 1));
  const PartRecord early = slow.finish({});
  require_running(dest, kOther, &early);
  finish_run(dest, {{"run_id", kRun}}, write_dataset(dest, Format::kParquet));
  const std::uint64_t rows = DatasetReader::open(dest).rows();
  EXPECT_FALSE(dest.exists(early.file));

  PartWriter late(dest, make_schema(3, Format::kParquet), kOther, 1);
  late.write(make_block(4, 3, 2));
  const PartRecord part = late.finish({});
  EXPECT_THROW(require_running(dest, kOther, &part), Error);
  EXPECT_FALSE(dest.exists(part.file)) << "its rows would stand beside those of the finished run";
  try {
    finish_run(dest, {{"run_id", kOther}}, {part});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExists);
    EXPECT_THAT(error.what(), HasSubstr("another run"));
    EXPECT_THAT(error.what(), HasSubstr("--resume"));
  }
  EXPECT_EQ(dataset_state(dest), DatasetState::kFinished);
  EXPECT_EQ(DatasetReader::open(dest).rows(), rows);
}

TEST(Dataset, APlaceIsHeldByOneAndLeftAsItWas) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "deep/out");
  {
    const auto held = hold_place(dest);
    ASSERT_NE(held, nullptr);
    try {
      hold_place(dest);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kExists);
      EXPECT_THAT(error.what(), HasSubstr(dest.uri()));
    }
    EXPECT_EQ(dataset_state(dest), DatasetState::kAbsent);
  }
  EXPECT_FALSE(std::filesystem::exists(dest.uri())) << "an empty folder that was made for it goes";
  dest.write("a", "b");
  EXPECT_NE(hold_place(dest), nullptr);
  EXPECT_EQ(dest.read("a"), "b");
}

TEST(Dataset, WhatAKilledRemovalLeavesIsStillOurs) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  for (const char* name : {"_moments.bin", "_pca.bin", "_run.json.123.tmp"}) dest.write(name, "x");
  EXPECT_EQ(dataset_state(dest), DatasetState::kAbsent);
  remove_dataset(dest);
  EXPECT_THAT(dest.list(""), IsEmpty());
  dest.write("_notes.tmp", "mine");
  EXPECT_EQ(dataset_state(dest), DatasetState::kForeign);
}

TEST(Dataset, AnUnfinishedDatasetIsOnlyReadWhereAsked) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const auto records = write_dataset(dest, Format::kParquet);
  try {
    DatasetReader::open(dest);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("--resume"));
  }
  EXPECT_EQ(DatasetReader::open(dest, false).rows(), 20U);
  finish_run(dest, {}, records);
  begin_run(dest, "fedcba9876543210", {});
  EXPECT_FALSE(dest.exists("_SUCCESS"));
  EXPECT_EQ(dataset_state(dest), DatasetState::kUnfinished);
  EXPECT_EQ(DatasetReader::open(dest, false).rows(), 20U);
}

TEST(Dataset, SaysWhatIsWrongWithARecord) {
  EXPECT_THROW(part_from_json(nlohmann::json::array()), Error);
  PartRecord record;
  record.file = "part-00000-0123456789abcdef.csv";
  EXPECT_EQ(part_from_json(to_json(record)).file, record.file);
  auto json = to_json(record);
  json["file"] = "../../etc/passwd";
  EXPECT_THROW(part_from_json(json), Error);
  json["file"] = record.file;
  json["rows"] = -1;
  EXPECT_THROW(part_from_json(json), Error);
  json["rows"] = 1;
  json["rejects_file"] = "part-00000-0123456789abcdef.csv";
  EXPECT_THROW(part_from_json(json), Error);
}

TEST(Dataset, ARecordThatNestsWithoutEndIsDamaged) {
  const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const auto records = write_dataset(dest, Format::kParquet);
  dest.write("_temporary/0123456789abcdef/part-00001.json", deep);
  EXPECT_EQ(find_unfinished(dest)->parts.size(), 1U);
  dest.write("_temporary/0123456789abcdef/run.json", deep);
  EXPECT_FALSE(find_unfinished(dest));
  begin_run(dest, kRun, {});
  finish_run(dest, {}, records);
  for (const std::string& text : {"{\"parts\": " + deep + "}", std::string("{\"parts\": ["), deep}) {
    dest.write("_run.json", text);
    try {
      DatasetReader::open(dest);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat);
      EXPECT_THAT(error.what(), HasSubstr("_run.json is damaged"));
    }
  }
  remove_dataset(dest);
  EXPECT_EQ(dataset_state(dest), DatasetState::kAbsent);
}

TEST(Dataset, DamagedFilesAreErrorsNotCrashes) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const auto records = write_dataset(dest, Format::kParquet);
  const std::string whole = read_file(folder / ("out/" + records[0].file));
  const TemporaryFolder other;
  int errors = 0;
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    other.add("x/a.parquet", damaged);
    try {
      read_all(DatasetReader::open(Store::open(other / "x")));
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 40);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{3}, std::size_t{12}, whole.size() / 2, whole.size() - 1}) {
    other.add("x/a.parquet", whole.substr(0, size));
    EXPECT_THROW(DatasetReader::open(Store::open(other / "x")), Error) << size;
  }
}

TEST(Dataset, ForeignCsvIsReadAndItsFaultsAreNamed) {
  const TemporaryFolder folder;
  folder.add("x.csv", "label,path,extra,f0,f1\r\n\"a,\"\"b\",\"p\nq\",7,1.5,-2e3\r\n,z,8,0,1");
  auto reader = DatasetReader::open(Store::open(folder / "x.csv"));
  EXPECT_EQ(reader.rows(), 2U);
  const auto blocks = read_all(reader);
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(blocks[0].rows[0].label, "a,\"b");
  EXPECT_EQ(blocks[0].rows[0].path, "p\nq");
  EXPECT_EQ(blocks[0].rows[1].label, std::nullopt);
  EXPECT_THAT(blocks[0].vectors, ElementsAre(1.5F, -2000.0F, 0.0F, 1.0F));
  for (const char* bad : {"", "path,label\n", "path,f0\na\n", "path,f0\na,1x\n", "path,f0\n\"a,1\n"}) {
    folder.add("y.csv", bad);
    EXPECT_THROW(read_all(DatasetReader::open(Store::open(folder / "y.csv"))), Error) << bad;
  }
}

TEST(Dataset, PackedCsvHasOneColumnOfListsAndReadsBackTheSameBits) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  Schema schema = make_schema(3, Format::kCsv);
  schema.splits = false;
  schema.csv_packed = true;
  begin_run(dest, kRun, {{"options", 1}});
  PartWriter writer(dest, schema, kRun, 0);
  const Block block = make_block(5, 3, 4);
  writer.write(block);
  const PartRecord record = writer.finish({});
  const std::string text = read_file(folder / ("out/" + record.file));
  EXPECT_THAT(text, ::testing::StartsWith("path,label,features\n"));
  EXPECT_THAT(text, HasSubstr(",\"["));
  const auto reader = DatasetReader::open(dest, false);
  EXPECT_EQ(reader.schema().d, 3);
  EXPECT_TRUE(reader.schema().csv_packed);
  EXPECT_EQ(reader.schema().vector_column, "features");
  const auto blocks = read_all(reader);
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(blocks[0].vectors, block.vectors);
  EXPECT_EQ(blocks[0].rows[1].label, block.rows[1].label);

  folder.add("spaces.csv", "features\n\"[1, 2.5, -3e2]\"\n");
  EXPECT_THAT(read_all(DatasetReader::open(Store::open(folder / "spaces.csv")))[0].vectors,
              ElementsAre(1.0F, 2.5F, -300.0F));
  for (const char* bad : {"path,features\na,\"[1,2]\"\nb,\"[1,2,3]\"\n", "path,features\na,\"[1,2]\"\nb,[1\n",
                          "features\n\"[1,,2]\"\n", "features\n\"[1,2,]\"\n", "features\n\"[1,x]\"\n",
                          "features\n\"1,2\"\n", "features\n\"[1 2,3]\"\n", "features\n\"[\"\n"}) {
    folder.add("y.csv", bad);
    EXPECT_THROW(read_all(DatasetReader::open(Store::open(folder / "y.csv"))), Error) << bad;
  }
}

TEST(Dataset, AbsentForeignAndMisnamedPlaces) {
  const TemporaryFolder folder;
  EXPECT_THROW(DatasetReader::open(Store::open(folder / "none")), Error);
  EXPECT_THROW(DatasetReader::open(Store::open(folder / "none.csv")), Error);
  folder.add("photos/a.jpg");
  EXPECT_EQ(dataset_state(Store::open(folder / "photos")), DatasetState::kForeign);
  EXPECT_THROW(DatasetReader::open(Store::open(folder / "photos")), Error);
  EXPECT_THROW(PartWriter(Store::open(folder / "x"), make_schema(0, Format::kCsv), kRun, 0), Error);
  EXPECT_THROW(PartWriter(Store::open(folder / "x"), make_schema(1, Format::kCsv), "../../../../../x", 0),
               Error);
  EXPECT_THROW(parse_format("xls"), Error);
}

// A file size limit stands for a full disk: both end in a failing write().
TEST_P(Formats, AFullDiskKeepsFinishedPartsAndSaysHowToGoOn) {
  const TemporaryFolder folder;
  const Store dest = Store::open(folder / "out");
  const auto records = write_dataset(dest, GetParam(), 64);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  ErrorCode code = ErrorCode::kInternal;
  try {
    PartWriter writer(dest, make_schema(64, GetParam()), kRun, 2);
    for (int i = 0; i < 20; ++i) writer.write(make_block(100, 64, i));
    writer.finish({});
  } catch (const Error& error) {
    message = error.what();
    code = error.code();
  }
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(code, ErrorCode::kIo) << message;
  EXPECT_THAT(message, HasSubstr("File too large"));
  EXPECT_THAT(message, HasSubstr("--resume"));
  EXPECT_FALSE(dest.exists("_SUCCESS"));
  EXPECT_EQ(find_unfinished(dest)->parts.size(), 2U);
  EXPECT_THAT(dest.list("_temporary/0123456789abcdef"),
              ElementsAre("part-00000.json", "part-00001.json", "run.json"));
}

}  // namespace
}  // namespace pomona
