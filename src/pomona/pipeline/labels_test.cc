// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/labels.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/label_table.h"

namespace pomona {
namespace {

TEST(FolderLabel, IsTheFolderThePhotoLiesIn) {
  EXPECT_EQ(folder_label("s3://b/Training/Apple Red 1/0_100.jpg", "s3://b"), "Apple Red 1");
  EXPECT_EQ(folder_label("/d/fruits/kiwi/1.jpg", "/d/fruits/"), "kiwi");
  EXPECT_EQ(folder_label("/d/fruits/1.jpg", "/d/fruits"), std::nullopt);
  EXPECT_EQ(folder_label("/d/fruits/Training/1.jpg", "/d/fruits"), std::nullopt);
  EXPECT_EQ(folder_label("1.jpg", "."), std::nullopt);
}

TEST(RowDescriber, TakesTheFoldersBelowASourceHoweverItIsWritten) {
  for (const char* source : {"s3://b/test/set", "s3a://b/test/set", "s3n://b/test/set/",
                             "s3://b/test/set?region=x&scheme=http", "s3://key:secret@b/test/set"}) {
    const RowDescriber rows({source}, "folder");
    Entry photo;
    photo.path = "s3://b/test/set/1.jpg";
    EXPECT_EQ(rows.describe(photo).label, std::nullopt) << source;
    EXPECT_EQ(rows.describe(photo).split, std::nullopt) << source;
    photo.path = "s3://b/test/set/Training/kiwi/1.jpg";
    EXPECT_EQ(rows.describe(photo).label, "kiwi") << source;
    EXPECT_EQ(rows.describe(photo).split, "Training") << source;
  }
}

TEST(PathSplit, ReadsTrainingValidationAndTestInAnyUsualForm) {
  EXPECT_EQ(path_split("/d/Training/kiwi/1.jpg", "/d"), "Training");
  EXPECT_EQ(path_split("/d/val/kiwi/1.jpg", "/d"), "Validation");
  EXPECT_EQ(path_split("/d/TEST/kiwi/1.jpg", "/d"), "Test");
  EXPECT_EQ(path_split("/d/Test/kiwi/1.jpg", "/d/Test"), "Test") << "the source itself may be the split";
  EXPECT_EQ(path_split("/test/d/kiwi/1.jpg", "/test/d"), std::nullopt)
      << "folders above the source say nothing";
  EXPECT_EQ(path_split("/d/test/a/Training/kiwi/1.jpg", ""), "Training") << "of a list: the nearest";
  EXPECT_EQ(path_split("/test/d/kiwi/1.jpg", "/test/d/kiwi/1.jpg"), "Test")
      << "a file has no folder to begin at";
  EXPECT_EQ(path_split("/d/contest/kiwi/1.jpg", "/d"), std::nullopt);
}

TEST(LabelTable, TakesNoPortForAColumn) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(LabelTable::named_columns("labels.csv:kind,ripe"), (Names{"kind", "ripe"}));
  EXPECT_EQ(LabelTable::named_columns("s3://b/labels.csv"), Names{});
  EXPECT_EQ(LabelTable::named_columns("s3://b/labels.csv:2024"), Names{"2024"});
  EXPECT_EQ(LabelTable::named_columns("s3://b/labels.csv?endpoint_override=http://h:9000"), Names{});
  EXPECT_EQ(LabelTable::named_columns("s3://b/labels.csv?endpoint_override=h:9000&scheme=http"), Names{});
  EXPECT_EQ(LabelTable::named_columns("s3://b/labels.csv?endpoint_override=http://h:9000:kind"),
            Names{"kind"});
}

TEST(HasSplitFolder, LooksThreeLevelsDown) {
  namespace fs = std::filesystem;
  std::string name = (fs::temp_directory_path() / "pomona-labels-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  fs::create_directories(fs::path(name) / "a/b/c/test");
  EXPECT_FALSE(has_split_folder(name));
  EXPECT_FALSE(has_split_folder(name + "/none"));
  fs::create_directories(fs::path(name) / "a/b/Train");
  EXPECT_TRUE(has_split_folder(name));
  EXPECT_FALSE(has_split_folder(name, 2));
  EXPECT_TRUE(has_split_folder(name + "/a/b/c/test/"));
  fs::remove_all(name);
}

}  // namespace
}  // namespace pomona
