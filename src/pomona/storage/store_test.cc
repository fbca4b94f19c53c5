// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/store.h"

#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pomona/storage/storage_test_support.h"
#include "pomona/storage/uri_internal.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

template <typename Step>
ErrorCode error_of(Step step) {
  try {
    step();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(Store, WritesMovesListsAndRemoves) {
  const TemporaryFolder folder;
  const Store store = Store::open(folder / "new folder/");
  EXPECT_TRUE(store.is_local());
  EXPECT_EQ(store.uri(), folder / "new folder");
  EXPECT_THAT(store.list(""), IsEmpty());
  store.write("a/b.txt", "one");
  store.write("a/b.txt", "two");
  store.write("_x", "");
  EXPECT_EQ(store.read("a/b.txt"), "two");
  EXPECT_EQ(store.size("a/b.txt"), 3);
  EXPECT_EQ(store.size("none"), -1);
  EXPECT_FALSE(store.exists("a"));
  EXPECT_THAT(store.list(""), ElementsAre("_x", "a/"));
  store.rename("a/b.txt", "c/d");
  EXPECT_THAT(store.list("a"), IsEmpty());
  EXPECT_EQ(store.at("c").read("d"), "two");
  EXPECT_EQ(store.at("c").parent().uri(), store.uri());
  store.remove("c/d");
  store.remove("c/d");
  store.remove_folder("none");
  store.remove_folder("c");
  EXPECT_THAT(store.list(""), ElementsAre("_x", "a/"));
  store.remove_folder("");
  EXPECT_THAT(store.list(""), IsEmpty());
}

TEST(Store, StreamsWriteAndRead) {
  const TemporaryFolder folder;
  const Store store = Store::open("file://" + folder.path());
  const auto out = store.create("x/\xff.bin");
  ASSERT_TRUE(out->Write("hello", 5).ok());
  ASSERT_TRUE(out->Close().ok());
  EXPECT_EQ(store.open_file("x/\xff.bin")->GetSize().ValueOrDie(), 5);
}

TEST(Store, ErrorsHaveTheirKind) {
  const TemporaryFolder folder;
  const Store store = Store::open(folder.path());
  folder.add("file");
  EXPECT_EQ(error_of([&] { store.read("none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_of([&] { store.open_file("none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_of([&] { store.rename("none", "x"); }), ErrorCode::kNotFound);
  EXPECT_EQ(error_of([&] { Store::open(folder / "file").list(""); }), ErrorCode::kUsage);
  EXPECT_EQ(error_of([&] { store.write("file/x", ""); }), ErrorCode::kIo);
  EXPECT_EQ(error_of([] { Store::open(""); }), ErrorCode::kUsage);
  EXPECT_EQ(error_of([] { Store::open("file://host/x"); }), ErrorCode::kUsage);
  EXPECT_EQ(error_of([] { Store::open("mock://x"); }), ErrorCode::kUsage);
  EXPECT_EQ(error_of([] { Store::open("s3:///x"); }), ErrorCode::kUsage);
  EXPECT_EQ(error_of([] { Store::open("s3://bucket/x?no_such_option=1&region=x"); }), ErrorCode::kUsage);
}

TEST(Store, NamesDoNotLeadOut) {
  const TemporaryFolder folder;
  const Store store = Store::open(folder / "in");
  for (const std::string name : {"../x", "a/../../x", "/etc/passwd", "..", "a/..", "./x", ""}) {
    EXPECT_EQ(error_of([&] { store.write(name, "x"); }), ErrorCode::kUsage) << name;
  }
  EXPECT_EQ(error_of([&] { store.write(std::string("a\0b", 3), "x"); }), ErrorCode::kUsage);
  EXPECT_EQ(error_of([&] { store.remove_folder("../"); }), ErrorCode::kUsage);
  store.write("..a/b..", "fine");
}

TEST(Uri, PlacesBelowKeepTheOptions) {
  EXPECT_EQ(uri_below("s3://bucket/key?region=x&a=b/c", "pca/pca.bin"),
            "s3://bucket/key/pca/pca.bin?region=x&a=b/c");
  EXPECT_EQ(uri_below("s3://bucket/", "a"), "s3://bucket/a");
  EXPECT_EQ(uri_below("/", "a"), "/a");
  EXPECT_EQ(uri_below("photos?/of mine", "a"), "photos?/of mine/a") << "a local path has no options";
  const FilePlace remote = file_place("s3://bucket/key/model.onnx?endpoint_override=http://host:1/x");
  EXPECT_EQ(remote.folder, "s3://bucket/key?endpoint_override=http://host:1/x");
  EXPECT_EQ(remote.name, "model.onnx");
  EXPECT_EQ(file_place("model.onnx").folder, ".");
  EXPECT_EQ(file_place("/model.onnx").folder, "/");
  EXPECT_EQ(file_place("a/b").name, "b");
}

TEST(Uri, RecordsHoldNoCredentials) {
  EXPECT_EQ(without_credentials("--labels=s3://KEY:SECRET@bucket/a@b.csv?region=x&secret_key=y"),
            "--labels=s3://***@bucket/a@b.csv?region=x&secret_key=***");
  EXPECT_EQ(without_credentials("s3://K:S@one/x, s3://K:S@two"), "s3://***@one/x, s3://***@two");
  EXPECT_EQ(without_credentials("https://account.blob.core.windows.net/box?sv=1&sig=abc%3D&se=2"),
            "https://account.blob.core.windows.net/box?sv=1&sig=***&se=2");
  for (const std::string word :
       {"s3://bucket/me@home/x", "me@home/token=1", "gs://anonymous/x", "--scheme=http"})
    EXPECT_EQ(without_credentials(word), word);
}

TEST(Uri, Remote) {
  EXPECT_TRUE(is_remote_uri("s3://b/k"));
  EXPECT_FALSE(is_remote_uri("file:///x"));
  EXPECT_FALSE(is_remote_uri("./s3://b"));
  EXPECT_FALSE(is_remote_uri("a b://c"));
  const auto uri = parse_remote("S3A://bucket//a b/%41?.jpg//?region=x&endpoint_override=http://h:1", true);
  EXPECT_EQ(uri.scheme, "s3");
  EXPECT_EQ(uri.authority, "bucket");
  EXPECT_EQ(uri.key, "a b/%41?.jpg");
  EXPECT_EQ(parse_remote("s3://b/who?.jpg", true).key, "who?.jpg");
  EXPECT_EQ(parse_remote("s3://b/k?region=x", true).options, "region=x");
  EXPECT_EQ(parse_remote("s3://b/k?region=x", false).key, "k?region=x");
  EXPECT_EQ(shown_authority(parse_remote("s3://key:secret@bucket/x", true)), "bucket");
  EXPECT_EQ(shown_authority(parse_remote("abfs://box@account.dfs.core.windows.net/x", true)),
            "box@account.dfs.core.windows.net");
}

}  // namespace
}  // namespace pomona
