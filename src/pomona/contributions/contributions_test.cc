// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/contributions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>

#include "pomona/base/paths.h"
#include "pomona/base/text.h"
#include "pomona/contributions/export.h"
#include "pomona/contributions/test_photos.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::int64_t kDay = 86'400;

class Contributions : public testing::Test {
 protected:
  Contributions() {
    std::string name = (fs::temp_directory_path() / "contributions-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    options_.now = [this] { return now_.load(); };
  }
  ~Contributions() override { fs::remove_all(folder_); }

  ContributionStore store() { return ContributionStore::open(folder_ / "store", options_); }

  static NewContribution contribution(const std::vector<std::byte>& photo, const std::string& label) {
    NewContribution one;
    one.photo = photo;
    one.labels = {{"label", label, "Pear", 0.41}};
    one.consent = "2026-11";
    one.model = "fruit";
    one.model_sha256 = "abc";
    return one;
  }

  // What lies on disk, in all files of the store.
  bool on_disk(const std::string& text) const {
    for (const auto& entry : fs::directory_iterator(folder_ / "store")) {
      if (read_file(entry.path()).find(text) != std::string::npos) return true;
    }
    return false;
  }

  fs::path folder_;
  ContributionOptions options_;
  std::atomic<std::int64_t> now_ = 20'000 * kDay + 3'600;
};

TEST_F(Contributions, APhotoComesBackWithItsLabelAndWhatTheModelSaid) {
  auto store = this->store();
  const auto photo = with_metadata(test_jpeg(1, 40, 30), 6);
  const auto receipt = store.add(contribution(photo, " Apple Red 1 "));
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->date, "2024-10-04");
  EXPECT_EQ(receipt->expires, "2024-10-17");
  const auto all = store.list();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].labels[0].label, "Apple Red 1");
  EXPECT_EQ(all[0].labels[0].said, "Pear");
  EXPECT_DOUBLE_EQ(all[0].labels[0].probability.value(), 0.41);
  EXPECT_EQ(all[0].width, 30);
  EXPECT_EQ(all[0].height, 40);
  EXPECT_EQ(store.photo(all[0].id).value().size(), all[0].bytes);
  EXPECT_EQ(store.stats().photos, 1U);
}

TEST_F(Contributions, NeitherMetadataNorTheCodeAreOnDisk) {
  auto store = this->store();
  const auto receipt = store.add(contribution(with_metadata(test_jpeg(1, 40, 30), 1), "Apple"));
  ASSERT_TRUE(receipt);
  EXPECT_FALSE(on_disk("PlaceAndDevice"));
  EXPECT_FALSE(on_disk("behind the end"));
  EXPECT_FALSE(on_disk(receipt->code.substr(0, 9)));
  EXPECT_TRUE(on_disk("Apple"));
  struct stat info{};
  ASSERT_EQ(::stat((folder_ / "store" / ContributionStore::kFile).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077, 0U);
}

TEST_F(Contributions, ACodeRemovesThePhotoFromTheDiskAndNamesWhatWasMadeWithIt) {
  auto store = this->store();
  const auto kept = store.add(contribution(test_jpeg(1, 40, 30), "Kept"));
  const auto gone = store.add(contribution(test_jpeg(2, 64, 48), "Gone for good"));
  ASSERT_TRUE(kept && gone);
  const auto bytes = store.photo(gone->id).value();
  const std::string middle(reinterpret_cast<const char*>(bytes.data()) + bytes.size() - 80, 70);
  ASSERT_TRUE(on_disk(middle));
  store.record_use("dataset", "/data/october", "", std::vector{gone->id, kept->id});
  store.record_use("model", "/models/fruit.onnx", "ffee", std::vector{gone->id});

  std::string typed = lower_case(gone->code);
  std::erase(typed, '-');
  const auto removal = store.remove(typed);
  ASSERT_TRUE(removal);
  EXPECT_TRUE(removal->photo_removed);
  ASSERT_THAT(removal->uses, SizeIs(2));
  EXPECT_EQ(removal->uses[0].name, "/data/october");
  EXPECT_EQ(removal->uses[1].kind, "model");
  EXPECT_EQ(removal->uses[1].sha256, "ffee");
  EXPECT_FALSE(on_disk(middle));
  EXPECT_FALSE(on_disk("Gone for good"));
  EXPECT_FALSE(store.remove(gone->code));
  EXPECT_THAT(store.list(), SizeIs(1));
  const auto events = store.events();
  EXPECT_EQ(events.back().what, "delete");
  EXPECT_THAT(events.back().detail, HasSubstr("/models/fruit.onnx"));
}

TEST_F(Contributions, AWrongCodeRemovesNothing) {
  auto store = this->store();
  const auto receipt = store.add(contribution(test_jpeg(1, 40, 30), "Apple"));
  ASSERT_TRUE(receipt);
  std::string wrong = receipt->code;
  wrong.back() = wrong.back() == '7' ? '8' : '7';
  EXPECT_FALSE(store.remove(wrong));
  EXPECT_FALSE(store.remove(""));
  EXPECT_FALSE(store.remove("' OR 1=1 --"));
  EXPECT_FALSE(store.remove(receipt->code + "0"));
  EXPECT_THAT(store.list(), SizeIs(1));
}

TEST_F(Contributions, CodesAreLongAndNeverTheSame) {
  auto store = this->store();
  std::set<std::string> codes;
  for (int i = 0; i < 20; ++i) {
    const auto receipt = store.add(contribution(test_jpeg(i, 16, 16), "Apple"));
    ASSERT_TRUE(receipt);
    EXPECT_EQ(receipt->code.size(), 39U);
    codes.insert(receipt->code);
  }
  EXPECT_THAT(codes, SizeIs(20));
}

TEST_F(Contributions, RetentionTakesPhotosInTimeAndCodesStillNameModels) {
  auto store = this->store();
  const auto used = store.add(contribution(test_jpeg(1, 40, 30), "Apple"));
  const auto unused = store.add(contribution(test_jpeg(2, 40, 30), "Plum"));
  store.record_use("model", "fruit.onnx", "", std::vector{used->id});
  now_ += 13 * kDay;
  const auto young = store.add(contribution(test_jpeg(3, 40, 30), "Pear"));
  EXPECT_EQ(store.purge(kContributionRetention).removed, 0U);
  now_ += kDay - 3'000;  // under fourteen days since, and over those of the day's beginning
  EXPECT_EQ(store.purge(kContributionRetention, true).removed, 2U);
  EXPECT_THAT(store.list(), SizeIs(3));
  const auto purged = store.purge(kContributionRetention);
  EXPECT_EQ(purged.removed, 2U);
  EXPECT_EQ(purged.kept, 1U);
  EXPECT_EQ(purged.oldest, "2024-10-04");
  EXPECT_THAT(store.list(), SizeIs(1));
  EXPECT_FALSE(on_disk("Plum"));
  EXPECT_EQ(store.events().back().what, "purge");
  EXPECT_EQ(store.events().back().photos, 2U);

  EXPECT_FALSE(store.remove(unused->code));
  const auto removal = store.remove(used->code);
  ASSERT_TRUE(removal);
  EXPECT_FALSE(removal->photo_removed);
  EXPECT_EQ(removal->uses.at(0).name, "fruit.onnx");
  EXPECT_TRUE(store.remove(young->code));
}

TEST_F(Contributions, ReceiptsOfPurgedPhotosGoAfterAYear) {
  auto store = this->store();
  const auto used = store.add(contribution(test_jpeg(1, 40, 30), "Apple"));
  store.record_use("model", "fruit.onnx", "", std::vector{used->id});
  now_ += 20 * kDay;
  store.purge(kContributionRetention);
  now_ += 370 * kDay;
  store.purge(kContributionRetention);
  EXPECT_FALSE(store.remove(used->code));
}

TEST_F(Contributions, PseudonymsAreOursCountedAndForgotten) {
  auto store = this->store();
  const std::string name = store.new_pseudonym();
  const auto photo = test_jpeg(1, 40, 30);
  NewContribution one = contribution(photo, "Apple");
  one.pseudonym = "Jane Doe";
  EXPECT_THROW(store.add(one), Error);
  one.pseudonym = name;
  ASSERT_TRUE(store.add(one));
  ASSERT_TRUE(store.add(one));
  ASSERT_THAT(store.contributors(), SizeIs(1));
  EXPECT_EQ(store.contributors()[0].count, 2U);
  EXPECT_TRUE(store.forget_contributor(name));
  EXPECT_FALSE(store.forget_contributor(name));
  EXPECT_FALSE(on_disk(name));
  EXPECT_EQ(store.list().at(0).pseudonym, "");
}

TEST_F(Contributions, BadInputIsRefusedAndLeavesNothing) {
  options_.max_photo_bytes = 4000;
  options_.max_photos = 1;
  auto store = this->store();
  const auto photo = test_jpeg(1, 40, 30);
  const auto refused = [&](auto change) {
    NewContribution one = contribution(photo, "Apple");
    change(one);
    try {
      store.add(one);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kUsage;
    }
    return false;
  };
  EXPECT_TRUE(refused([](NewContribution& c) { c.consent.clear(); }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels.clear(); }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels[0].label = "   "; }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels[0].label = std::string(201, 'a'); }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels[0].label = "a\nb"; }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels[0].label = "\xff\xfe"; }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels[0].probability = 1.5; }));
  EXPECT_TRUE(refused([](NewContribution& c) { c.labels.push_back(c.labels[0]); }));
  const std::vector<std::byte> large(5000, std::byte{1});
  EXPECT_FALSE(store.add(contribution(large, "Apple")));
  const std::vector<std::byte> junk(100, std::byte{1});
  EXPECT_FALSE(store.add(contribution(junk, "Apple")));
  EXPECT_THAT(store.list(), SizeIs(0));
  ASSERT_TRUE(store.add(contribution(photo, "Apple")));
  try {
    store.add(contribution(photo, "Apple"));
    FAIL() << "a full store took a photo";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
}

TEST_F(Contributions, ExportIsAFolderPerClassAndATable) {
  auto store = this->store();
  const auto photo = test_jpeg(1, 40, 30);
  NewContribution one = contribution(photo, "Apple, \"red\"");
  one.labels.push_back({"ripeness", "ripe", "", {}});
  ASSERT_TRUE(store.add(one));
  ASSERT_TRUE(store.add(contribution(photo, "Test")));
  ASSERT_TRUE(store.add(contribution(photo, "../../etc/passwd")));
  const auto exported = store.export_to(folder_ / "out");
  ASSERT_THAT(exported.ids, ElementsAre(1, 2, 3));
  EXPECT_EQ(exported.files[0], folder_ / "out" / "Apple, \"red\"" / "1.jpg");
  EXPECT_EQ(exported.files[1], folder_ / "out" / "%54est" / "2.jpg");
  EXPECT_EQ(exported.files[2], folder_ / "out" / "%2E.%2F..%2Fetc%2Fpasswd" / "3.jpg");
  for (const auto& file : exported.files) EXPECT_TRUE(fs::exists(file)) << file;
  EXPECT_EQ(read_file(folder_ / "out" / "labels.csv"),
            "path,label,ripeness\n"
            "\"Apple, \"\"red\"\"/1.jpg\",\"Apple, \"\"red\"\"\",ripe\n"
            "%54est/2.jpg,Test,\n"
            "%2E.%2F..%2Fetc%2Fpasswd/3.jpg,../../etc/passwd,\n");
  EXPECT_THAT(read_file(folder_ / "out" / "contributions.csv"),
              HasSubstr("2024-10-04,ripeness,ripe,,,fruit,abc,2026-11"));
  EXPECT_THROW(store.export_to(folder_ / "out"), Error);
  EXPECT_EQ(store.events().back().what, "export");
}

TEST(ClassFolder, FitsAFileSystemAndStaysOneOfItsKind) {
  const std::string slashes = class_folder(std::string(150, '/'));
  const std::string accents = class_folder("x" + std::string(100, '\xC3'));
  EXPECT_LE(slashes.size(), 255U);
  EXPECT_LE(accents.size(), 255U);
  EXPECT_NE(slashes, class_folder(std::string(151, '/')));
  EXPECT_EQ(class_folder(std::string(200, 'a')), std::string(200, 'a'));
}

TEST_F(Contributions, ManyThreadsAndASecondConnectionWorkAtOnce) {
  auto first = this->store();
  auto second = this->store();
  std::atomic<int> added = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        auto& store = t % 2 == 0 ? first : second;
        for (int i = 0; i < 8; ++i) {
          const auto photo = test_jpeg(t * 8 + i, 24, 24);
          const auto receipt = store.add(contribution(photo, "Apple"));
          if (!receipt) continue;
          ++added;
          if (i % 2 == 0 && store.remove(receipt->code)) --added;
        }
      });
    }
  }
  EXPECT_EQ(added, 16);
  EXPECT_THAT(first.list(), SizeIs(16));
  EXPECT_THAT(second.list(4, 3), SizeIs(3));
}

TEST_F(Contributions, ForeignAndDamagedFilesAreNamed) {
  EXPECT_FALSE(is_contributions_folder(folder_));
  EXPECT_THROW(ContributionStore::open(folder_ / "none", {.create = false}), Error);
  EXPECT_FALSE(fs::exists(folder_ / "none"));
  {
    this->store();
  }
  EXPECT_TRUE(is_contributions_folder(folder_ / "store"));
  fs::create_directory(folder_ / "other");
  std::ofstream(folder_ / "other" / ContributionStore::kFile) << std::string(4096, 'x');
  EXPECT_FALSE(is_contributions_folder(folder_ / "other"));
  try {
    ContributionStore::open(folder_ / "other");
    FAIL() << "a file of x was taken for a store";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFormat);
  }
}

}  // namespace
}  // namespace pomona
