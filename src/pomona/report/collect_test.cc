// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/collect.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/image/encode.h"
#include "pomona/learn/pca.h"
#include "pomona/report/render.h"
#include "pomona/storage/dataset.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;

// A small results folder: two classes of drawn photos with four components, one photo gone, one rejected.
class CollectTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              fmt::format("pomona-collect-{}", testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "photos");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string draw_photo(int i) {
    Image image;
    image.reset(120, 80 + i % 7);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<std::uint8_t>(40 + i));
    const auto jpeg = encode_jpeg(image, 80);
    const fs::path file = folder_ / "photos" / fmt::format("{}.jpg", i);
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(jpeg.data()), static_cast<std::streamsize>(jpeg.size()));
    return file.string();
  }

  // `components` of 4 for each of `n` photos, in two parts.
  void write_results(int n, bool labels) {
    const Store dest = Store::open((folder_ / "out" / "reduced").string());
    Schema schema{"components", 4, labels, labels, Format::kParquet};
    const std::string run_id = new_run_id();
    begin_run(dest, run_id, json::object());
    std::vector<PartRecord> parts;
    std::mt19937 random(1);
    std::normal_distribution<float> noise;
    Moments moments(4);
    for (std::uint64_t part = 0; part < 2; ++part) {
      Block block;
      for (int i = static_cast<int>(part); i < n; i += 2) {
        RowInfo row;
        row.path = draw_photo(i);
        if (labels) {
          row.label = i % 10 == 0 ? "rare </script>" : "common";
          row.split = i % 4 == 3 ? "Test" : "Training";
        }
        row.width = 120;
        row.height = 80 + i % 7;
        block.rows.push_back(row);
        for (int c = 0; c < 4; ++c)
          block.vectors.push_back(noise(random) * static_cast<float>(4 - c) +
                                  (c == 0 ? static_cast<float>(i) : 0));
      }
      moments.add(block.vectors, block.rows.size());
      if (part == 0) block.rejects.push_back({"/gone/1.jpg", "", "decode", "Ends 3 bytes early.", 100});
      PartWriter writer(dest, schema, run_id, part);
      writer.write(block);
      parts.push_back(writer.finish({}));
    }
    finish_run(dest,
               {{"kind", "components"},
                {"seconds", 2.0},
                {"stages", {{"write", 0.5}}},
                {"counts", {{"listed", n + 1}, {"written", n}, {"rejected", 1}}},
                {"machine", {{"pomona", "0.1.0"}, {"cpu", "A CPU"}, {"threads", 2}}}},
               parts);
    write_file_atomically(folder_ / "out" / "pca" / "pca.bin",
                          Pca::fit(moments, PcaOptions{.k = 4, .variance = {}, .center = true}).serialize());
  }

  CollectOptions options() const {
    CollectOptions options;
    options.dest = (folder_ / "out").string();
    return options;
  }

  fs::path folder_;
};

TEST_F(CollectTest, FindsWhatIsThere) {
  write_results(100, true);
  write_file_atomically(folder_ / "out" / "evaluation.json",
                        json({{"accuracy", 0.98},
                              {"classes", {"a", "b"}},
                              {"mistakes",
                               {{{"path", (folder_ / "photos" / "3.jpg").string()},
                                 {"label", "a"},
                                 {"predicted", "b"},
                                 {"probability", 0.7}}}}})
                            .dump());
  fs::remove(folder_ / "photos" / "5.jpg");
  const ReportData data = collect_report(options());
  EXPECT_EQ(data.title, "out");
  ASSERT_EQ(data.classes.size(), 2);
  EXPECT_EQ(data.classes[0].name, "common");
  EXPECT_EQ(data.classes[0].train + data.classes[0].test, 90);
  EXPECT_EQ(data.classes[1].test, 0);  // 0, 10, 20, ... are never 3 modulo 4
  EXPECT_TRUE(data.has_split);
  EXPECT_EQ(data.sizes->maximum, 120);
  ASSERT_TRUE(data.scatter);
  EXPECT_EQ(data.scatter->size(), 100);
  EXPECT_EQ(data.scatter->total, 100);
  EXPECT_EQ(data.spectrum.size(), 4);
  EXPECT_EQ(data.kept_components, 4);
  ASSERT_EQ(data.component_ends.size(), 4);
  // The first component grows with the number of the photo.
  EXPECT_THAT(data.thumbnails[static_cast<std::size_t>(data.component_ends[0].low[0])].path,
              HasSubstr("/photos/"));
  EXPECT_EQ(data.counts->rejected, 1);
  ASSERT_EQ(data.mistakes.size(), 1);
  EXPECT_FALSE(data.thumbnails[static_cast<std::size_t>(data.mistakes[0].thumbnail)].jpeg.empty());
  int missing = 0;
  for (const Thumbnail& thumbnail : data.thumbnails) {
    if (thumbnail.jpeg.empty()) {
      ++missing;
      EXPECT_THAT(thumbnail.path, HasSubstr("/5.jpg"));
      continue;
    }
    EXPECT_EQ(thumbnail.width, 64);
    EXPECT_EQ(thumbnail.jpeg.find("Exif"), std::string::npos);
  }
  EXPECT_EQ(missing, 1);
  const std::string page = render_report(data);
  EXPECT_THAT(page, HasSubstr("pomona-sections"));
  EXPECT_THAT(report_sections(data), Contains("mistakes"));
}

TEST_F(CollectTest, TheVarianceIsOfThePcaThatMadeTheComponents) {
  write_results(20, false);
  // What `pomona reduce` leaves where it makes reduced/ anew: its PCA within, that of the run beside it.
  Moments moments(4);
  const std::vector<float> x = {1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 9};
  moments.add(x, 4);
  const Pca pca = Pca::fit(moments, PcaOptions{.k = 4, .variance = {}, .center = true});
  const fs::path own = folder_ / "out" / "reduced" / "_pca.bin";
  write_file_atomically(own, pca.serialize());
  const fs::path record = folder_ / "out" / "reduced" / "_run.json";
  json run = json::parse(read_file(record));
  run["header"] = {{"pca_sha256", sha256_hex(pca.serialize())}};
  write_file_atomically(record, run.dump());
  const std::vector<double> spectrum(pca.spectrum().begin(), pca.spectrum().end());
  EXPECT_EQ(collect_report(options()).spectrum, spectrum);
  fs::remove(own);
  EXPECT_TRUE(collect_report(options()).spectrum.empty());
}

TEST_F(CollectTest, TheSampleIsStratifiedAndRepeatable) {
  write_results(200, true);
  CollectOptions small = options();
  small.points = 40;
  small.thumbnail_side = 0;
  const ReportData a = collect_report(small);
  const ReportData b = collect_report(small);
  ASSERT_TRUE(a.scatter);
  EXPECT_EQ(a.scatter->size(), 40);
  EXPECT_EQ(a.scatter->total, 200);
  EXPECT_EQ(a.scatter->values, b.scatter->values);
  // 20 rare ones of 200 get ten places at least.
  EXPECT_GE(std::ranges::count(a.scatter->group, 1), 10);
  small.seed = 2;
  EXPECT_NE(collect_report(small).scatter->values, a.scatter->values);
}

TEST_F(CollectTest, WithoutLabelsThereAreNoClasses) {
  write_results(30, false);
  CollectOptions clustered = options();
  clustered.cluster = [](std::span<const float> values, int components) {
    std::vector<std::uint16_t> side;
    for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(components))
      side.push_back(values[i] > 15 ? 1 : 0);
    return side;
  };
  const ReportData data = collect_report(clustered);
  EXPECT_TRUE(data.classes.empty());
  ASSERT_TRUE(data.scatter);
  EXPECT_TRUE(data.scatter->group.empty());
  ASSERT_EQ(data.scatter->cluster.size(), 30);
  for (std::size_t i = 0; i < 30; ++i)
    EXPECT_EQ(data.scatter->cluster[i], data.scatter->values[4 * i] > 15 ? 1 : 0);
  EXPECT_FALSE(data.sample.empty());
  render_report(data);
}

TEST_F(CollectTest, ADatasetAloneWillDo) {
  write_results(30, true);
  CollectOptions alone = options();
  alone.dest += "/reduced";
  const ReportData data = collect_report(alone);
  EXPECT_EQ(data.run.seconds, 2.0);
  ASSERT_TRUE(data.scatter);
  EXPECT_EQ(data.scatter->size(), 30);
}

TEST_F(CollectTest, SaysWhatIsWrong) {
  try {
    collect_report(options());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("features/"));
  }
  write_results(30, true);
  const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
  for (const std::string& text : {std::string("{\"accuracy\": "), deep}) {
    write_file_atomically(folder_ / "out" / "evaluation.json", text);
    try {
      collect_report(options());
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat);
      EXPECT_THAT(error.what(), HasSubstr("evaluation.json"));
    }
  }
  write_file_atomically(folder_ / "out" / "evaluation.json", "{}");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(collect_report(options(), {}, stop.get_token()), Error);
}

}  // namespace
}  // namespace pomona
