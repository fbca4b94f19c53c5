// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "pomona/base/error.h"
#include "pomona/distributed/job.h"
#include "pomona/distributed/listing_chunk.h"
#include "pomona/distributed/listing_units.h"
#include "pomona/pipeline/scratch_folder.h"
#include "pomona/storage/listing.h"

namespace pomona::distributed {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAreArray;

void put(const fs::path& file) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << "photo";
}

// The paths of all units, in order, as the parts of a job would read them.
std::vector<std::string> listed_in_units(const Job& job, std::size_t wanted, std::uint64_t per_part) {
  const std::string run_id = "0123456789abcdef";
  nlohmann::json units = plan_listing(job, run_id, wanted);
  for (nlohmann::json& unit : units) {
    if (!unit.contains("chunk")) unit = list_unit(job, run_id, unit);
  }
  std::vector<std::string> paths;
  const Store store = Store::open(job.features);
  for (const auto& part : cut_parts(job, units, per_part)) {
    EXPECT_EQ(part["first"].get<std::size_t>(), paths.size());
    for (const auto& segment : part["segments"]) {
      read_listing_chunk(store, segment["chunk"], segment["offset"], segment["count"],
                         [&](Entry&& entry) { paths.push_back(entry.path); });
    }
    EXPECT_EQ(part["first"].get<std::size_t>() + part["count"].get<std::size_t>(), paths.size());
  }
  return paths;
}

TEST(Listing, UnitsGiveThePhotosOfTheWholeInItsOrder) {
  const ScratchFolder scratch;
  const fs::path photos = scratch.path() / "photos";
  for (const char* name : {"a/1.jpg", "a/2.png", "a!x.jpg", "a.jpg", "b/c/d/e.jpg", "b/c.jpg", "b/c0.jpg",
                           ".hidden/x.jpg", "_temporary/y.jpg", "z.txt", "odd\xff/\xfe.jpg", "z/z.webp"}) {
    put(photos / name);
  }
  fs::create_directories(photos / "empty.jpg");
  fs::create_directory_symlink(photos, photos / "b" / "round");
  fs::create_directory_symlink(photos / "a", photos / "again");

  const fs::path more = scratch.path() / "more";
  for (const char* name : {"a/1.jpg", "a.jpg", "left-out.jpg"}) put(more / name);

  FeaturizeOptions options;
  options.listing.sources = {photos.string(), (more / "a").string(), (more / "a.jpg").string()};
  options.dest = (scratch.path() / "dest").string();
  const Job job = job_of(options);
  std::vector<std::string> expected;
  list_photos(job.featurize.listing, [&](Entry&& entry) {
    expected.push_back(entry.path);
    return true;
  });
  ASSERT_GT(expected.size(), 10U);
  for (const std::size_t wanted : {1U, 4U, 100U}) {
    EXPECT_THAT(listed_in_units(job, wanted, 3), ElementsAreArray(expected)) << wanted;
  }
  Job limited = job;
  limited.featurize.listing.limit = 5;
  expected.resize(5);
  EXPECT_THAT(listed_in_units(limited, 100, 2), ElementsAreArray(expected));
}

TEST(Listing, UnitsLeaveThePhotosOfAnotherSourceToIt) {
  const ScratchFolder scratch;
  const fs::path a = scratch.path() / "a", b = scratch.path() / "b", apart = scratch.path() / "apart";
  put(a / "1.jpg");
  put(b / "x/2.jpg");
  put(b / "x/y/3.jpg");
  put(apart / "4.jpg");
  fs::create_directory_symlink(b / "x", a / "link");
  fs::create_directory_symlink(apart, a / "out");
  fs::create_directory_symlink(b / "x/y", apart / "further");
  FeaturizeOptions options;
  options.listing.sources = {a.string(), b.string()};
  options.dest = (scratch.path() / "dest").string();
  const Job job = job_of(options);
  const std::vector<std::string> expected = {a / "1.jpg", a / "out/4.jpg", b / "x/2.jpg", b / "x/y/3.jpg"};
  for (const std::size_t wanted : {1U, 3U, 4U, 100U}) {
    EXPECT_THAT(listed_in_units(job, wanted, 2), ElementsAreArray(expected)) << wanted;
  }
}

TEST(Listing, NoPhotoCountsTwice) {
  FeaturizeOptions options;
  options.listing.sources = {"s3://bucket/photos", "s3a://bucket/photos/2026/"};
  options.dest = "/dest";
  EXPECT_THROW(job_of(options), Error);
  options.listing.sources.back() = "s3a://bucket/photos-2026/";
  EXPECT_NO_THROW(job_of(options));
}

TEST(Listing, WithoutPhotosSaysSo) {
  const ScratchFolder scratch;
  fs::create_directories(scratch.path() / "photos");
  FeaturizeOptions options;
  options.listing.sources = {(scratch.path() / "photos").string()};
  options.dest = (scratch.path() / "dest").string();
  EXPECT_THROW(listed_in_units(job_of(options), 10, 3), Error);
}

TEST(Job, ComesBackFromItsJson) {
  RunOptions options;
  options.dest = "/results";
  options.featurize.listing.sources = {"s3://bucket/photos"};
  options.featurize.listing.limit = 7;
  options.featurize.bytes_per_file = 1000;
  options.featurize.network.model = "efficientnet-lite0";
  options.pca = {.k = 12, .variance = {}, .center = false};
  options.train.emplace();
  options.train->classifier = "forest";
  options.train->on = HeadInput::kFeatures;
  options.prices = {{"a", 1}};
  const nlohmann::json json = to_json(job_of(options));
  EXPECT_EQ(to_json(job_from_json(json)), json);
  EXPECT_EQ(json["reduce"]["save_pca"], "/results/pca/pca.bin");
  EXPECT_EQ(json["results"], "/results");
  options.dest = "s3://bucket/results?region=x";
  EXPECT_EQ(job_of(options).results, options.dest);
  EXPECT_EQ(job_of(options).features, "s3://bucket/results/features?region=x");
  EXPECT_THROW(job_from_json({{"kind", "run"}}), Error);
}

}  // namespace
}  // namespace pomona::distributed
