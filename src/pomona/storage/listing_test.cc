// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "pomona/storage/storage_test_support.h"

namespace pomona {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::TemporaryFolder;

std::vector<Entry> entries(const ListingOptions& options) {
  std::vector<Entry> found;
  list_photos(options, [&](Entry&& entry) {
    found.push_back(std::move(entry));
    return true;
  });
  return found;
}

// Paths below the folder, a '/' behind those that are folders.
std::vector<std::string> paths(const ListingOptions& options, const std::string& root) {
  std::vector<std::string> found;
  for (const Entry& entry : entries(options)) {
    EXPECT_TRUE(entry.path.starts_with(root)) << entry.path;
    found.push_back(entry.path.substr(root.size() + 1) + (entry.directory ? "/" : ""));
  }
  return found;
}

std::vector<std::string> paths(const TemporaryFolder& folder) {
  return paths({.sources = {folder.path()}}, folder.path());
}

ErrorCode error_of(const ListingOptions& options) {
  try {
    entries(options);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(Listing, OrderIsThatOfFullKeys) {
  const TemporaryFolder folder;
  // '-' and '.' sort before '/', '0' behind it: a folder sorts as "a/".
  for (const char* name : {"a/z.jpg", "a-b.jpg", "a.jpg", "a0.jpg", "a/b/c.png", "B.jpg", "a/\xc3\xa4.jpg"})
    folder.add(name);
  EXPECT_THAT(paths(folder),
              ElementsAre("B.jpg", "a-b.jpg", "a.jpg", "a/b/c.png", "a/z.jpg", "a/\xc3\xa4.jpg", "a0.jpg"));
}

TEST(Listing, TakesWhatCanBeDecodedAndLeavesHiddenOnesOut) {
  const TemporaryFolder folder;
  for (const char* name :
       {"1.JPG", "2.jpeg", "3.jpe", "4.jfif", "5.Png", "6.webp", "7.heic", "8.heif", "9.avif", "x.txt",
        "x.gif", "jpg", ".jpg", ".a.jpg", "_b.jpg", "_rejects/c.jpg", ".git/d.jpg", "e.jpg.tmp"}) {
    folder.add(name);
  }
  EXPECT_THAT(paths(folder), ElementsAre("1.JPG", "2.jpeg", "3.jpe", "4.jfif", "5.Png", "6.webp", "7.heic",
                                         "8.heif", "9.avif"));
  EXPECT_THAT(paths({.sources = {folder / "_rejects"}}, folder / "_rejects"), ElementsAre("c.jpg"));
  EXPECT_THAT(paths({.sources = {folder.path()}, .glob = "*.{txt,gif}"}, folder.path()),
              ElementsAre("x.gif", "x.txt"));
}

TEST(Listing, NamesAreBytes) {
  const TemporaryFolder folder;
  for (const char* name : {"a b.jpg", "c\nd.jpg", "e\"f'.jpg", "g\xff\xfe.jpg", "%41.jpg", "?*.jpg"})
    folder.add(name);
  EXPECT_THAT(paths(folder),
              ElementsAre("%41.jpg", "?*.jpg", "a b.jpg", "c\nd.jpg", "e\"f'.jpg", "g\xff\xfe.jpg"));
}

TEST(Listing, SaysSizeAndTime) {
  const TemporaryFolder folder;
  folder.add("a.jpg", "12345");
  const auto found = entries({.sources = {folder.path() + "//"}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].path, folder / "a.jpg");
  EXPECT_EQ(found[0].bytes, 5);
  const auto now = std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  EXPECT_LT(std::abs(found[0].mtime_ns - now), 60'000'000'000LL);
}

TEST(Listing, LinksThatLeadInACircleEnd) {
  const TemporaryFolder folder;
  folder.add("a/b/x.jpg");
  std::filesystem::create_directory_symlink(folder.path(), folder / "a/b/up");
  std::filesystem::create_directory_symlink("self", folder / "a/self");
  std::filesystem::create_symlink("x.jpg", folder / "a/b/y.jpg");
  std::filesystem::create_symlink("nowhere", folder / "a/b/z.jpg");
  std::filesystem::create_directory_symlink(folder / "a/b", folder / "c");
  EXPECT_THAT(paths(folder),
              ElementsAre("a/b/x.jpg", "a/b/y.jpg", "a/b/z.jpg", "c/x.jpg", "c/y.jpg", "c/z.jpg"));
}

TEST(Listing, AFolderNamedLikeAPhotoIsPassedOnWhereItHoldsNone) {
  const TemporaryFolder folder;
  folder.add("full.jpg/a.png");
  folder.add("empty.jpg/a.txt");
  std::filesystem::create_directories(folder / "plain");
  EXPECT_THAT(paths(folder), ElementsAre("empty.jpg/", "full.jpg/a.png"));
}

TEST(Listing, AFolderThatCannotBeReadIsPassedOn) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TemporaryFolder folder;
  folder.add("a.jpg");
  folder.add("secret/b.jpg");
  ::chmod((folder / "secret").c_str(), 0);
  EXPECT_THAT(paths(folder), ElementsAre("a.jpg", "secret/"));
  EXPECT_EQ(error_of({.sources = {folder / "secret"}}), ErrorCode::kPermission);
  ::chmod((folder / "secret").c_str(), 0700);
}

TEST(Listing, VeryDeepTreesEnd) {
  const TemporaryFolder folder;
  std::string deep;
  for (int i = 0; i < 260; ++i) deep += "d/";
  folder.add(deep + "x.jpg");
  const auto found = entries({.sources = {folder.path()}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].directory);
}

TEST(Listing, SeveralSourcesOneAfterTheOther) {
  const TemporaryFolder folder;
  folder.add("b/1.jpg");
  folder.add("a/2.jpg");
  const std::string single = folder.add("c/3.data");
  EXPECT_THAT(paths({.sources = {folder / "b", single, "file://" + folder.path() + "/a"}}, folder.path()),
              ElementsAre("b/1.jpg", "c/3.data", "a/2.jpg"));
}

// What refuses the sources; "" = nothing.
std::string refusal(const ListingOptions& options) {
  try {
    require_separate_sources(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.what();
  }
  return "";
}

TEST(Listing, SourcesThatShareFolders) {
  const TemporaryFolder folder;
  for (const char* name :
       {"d/a/1.jpg", "d/ab/1.jpg", "d2/1.jpg", "d/.hidden/1.jpg", "d/_own/deep/1.jpg", "d/data.bin"})
    folder.add(name);
  ASSERT_EQ(::symlink((folder / "d").c_str(), (folder / "link").c_str()), 0);
  ASSERT_EQ(::symlink((folder / "d2").c_str(), (folder / "d/far").c_str()), 0);
  const auto both = [&](const std::string& one, const std::string& other) {
    const std::string forth = refusal({.sources = {folder / one, folder / other}});
    const std::string back = refusal({.sources = {folder / other, folder / one}});
    EXPECT_EQ(forth.empty(), back.empty()) << one << " and " << other;
    return forth;
  };
  EXPECT_THAT(both("d", "d/a"), AllOf(HasSubstr(folder / "d/a lies in the source " + folder / "d:"),
                                      HasSubstr("Leave it out")));
  EXPECT_THAT(both("d", "d"), HasSubstr("same place"));
  for (const char* again : {"d/", "./d", "d2/../d", "link", "link/"})
    EXPECT_THAT(both("d", again), HasSubstr("same place")) << again;
  for (const char* inner : {"d/a/", "d/a/1.jpg", "link/a", "d/far", "d/nothing/there"})
    EXPECT_THAT(both("d", inner), HasSubstr("lies in")) << inner;
  EXPECT_THAT(refusal({.sources = {"file://" + folder.path() + "/d", folder / "d/a"}}), HasSubstr("lies in"));
  EXPECT_THAT(refusal({.sources = {"/", folder / "d"}}), HasSubstr("lies in"));
  // A listing does not come to what is hidden, or to a file that is no photo.
  for (const char* apart : {"d2", "d/.hidden", "d/_own/deep", "d/data.bin"})
    EXPECT_EQ(both("d", apart), "") << apart;
  EXPECT_EQ(both("d/a", "d/ab"), "");
  EXPECT_EQ(refusal({.sources = {"/"}}), "");
  EXPECT_THAT(refusal({.sources = {folder / "d", folder / "d/data.bin"}, .glob = "*.bin"}),
              HasSubstr("lies in"));
}

// A link into another source shows photos that are listed there under their own names.
TEST(Listing, PhotosOfAnotherSourceAreLeftToIt) {
  const TemporaryFolder folder;
  for (const char* name : {"a/1.jpg", "b/2.jpg", "b/deep/3.jpg", "b/.hidden/4.jpg", "b/raw.data", "c/5.jpg",
                           "c/6.jpg", "apart/7.jpg"})
    folder.add(name);
  const auto link = [&](const char* to, const char* name) {
    std::filesystem::create_symlink(folder / to, folder / name);
  };
  link("b", "a/whole");
  link("b/deep", "a/part");
  link("b/2.jpg", "a/photo.jpg");
  link("", "a/all");              // comes to all sources, and to what is in none
  link("b/.hidden", "a/secret");  // what the other source does not list stays
  link("b/raw.data", "a/raw.jpg");
  link("apart", "a/out");
  link("a/1.jpg", "b/back.jpg");
  const ListingOptions several = {.sources = {folder / "a", folder / "b", folder / "c/5.jpg"}};
  EXPECT_THAT(paths(several, folder.path()),
              ElementsAre("a/1.jpg", "a/all/apart/7.jpg", "a/all/c/6.jpg", "a/out/7.jpg", "a/raw.jpg",
                          "a/secret/4.jpg", "b/2.jpg", "b/deep/3.jpg", "c/5.jpg"));
  // Alone, a source is listed with all that its links lead to.
  EXPECT_THAT(paths({.sources = {folder / "b"}}, folder.path()),
              ElementsAre("b/2.jpg", "b/back.jpg", "b/deep/3.jpg"));
  const std::vector<std::string> alone = paths({.sources = {folder / "a"}}, folder.path());
  EXPECT_THAT(alone, ::testing::IsSupersetOf({"a/part/3.jpg", "a/photo.jpg", "a/whole/2.jpg"}));
}

TEST(Listing, UrisThatShareFolders) {
  const auto both = [](const std::string& one, const std::string& other) {
    const std::string forth = refusal({.sources = {one, other}});
    EXPECT_EQ(forth.empty(), refusal({.sources = {other, one}}).empty()) << one << " and " << other;
    return forth;
  };
  for (const char* again : {"s3://b/d", "s3a://b/d/", "s3://b/d?region=eu-west-1", "s3://me:key@b/d"})
    EXPECT_THAT(both("s3://b/d", again), HasSubstr("same place")) << again;
  EXPECT_THAT(both("s3://b", "s3n://b/"), HasSubstr("same place"));
  EXPECT_THAT(both("s3://b", "s3://b/d/a?region=x"), HasSubstr("lies in"));
  EXPECT_THAT(both("s3://b/d", "s3://b/d/a"), HasSubstr("lies in"));
  EXPECT_EQ(both("s3://b", "s3://c"), "");
  EXPECT_THAT(both("gs://b/d", "gcs://b/d/a"), HasSubstr("lies in"));
  EXPECT_THAT(both("s3://me:secret@b/d", "s3://b/d/a"), Not(HasSubstr("secret")));
  for (const char* apart : {"s3://b/d2", "s3://other/d", "gs://b/d",
                            "s3://b/d?endpoint_override=localhost:9000", "/b/d", "s3://b/d/_temporary/x"})
    EXPECT_EQ(both("s3://b/d", apart), "") << apart;
}

TEST(Listing, LimitAndStop) {
  const TemporaryFolder folder;
  for (int i = 0; i < 9; ++i) folder.add("d" + std::to_string(i) + "/a.jpg");
  EXPECT_THAT(paths({.sources = {folder.path()}, .limit = 2}, folder.path()),
              ElementsAre("d0/a.jpg", "d1/a.jpg"));
  EXPECT_THAT(paths({.sources = {folder.path()}, .limit = 0}, folder.path()), IsEmpty());
  int calls = 0;
  list_photos({.sources = {folder.path()}}, [&](Entry&&) { return ++calls < 3; });
  EXPECT_EQ(calls, 3);
  std::stop_source stop;
  calls = 0;
  list_photos(
      {.sources = {folder.path()}},
      [&](Entry&&) {
        stop.request_stop();
        return ++calls < 100;
      },
      stop.get_token());
  EXPECT_EQ(calls, 1);
}

TEST(Listing, WrongUseIsNamed) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of({.sources = {folder / "none"}}), ErrorCode::kNotFound);
  EXPECT_EQ(error_of({.sources = {""}}), ErrorCode::kUsage);
  EXPECT_EQ(error_of({}), ErrorCode::kUsage);
  EXPECT_EQ(error_of({.sources = {"ftp://host/x"}}), ErrorCode::kUsage);
  EXPECT_EQ(error_of({.sources = {"s3://"}}), ErrorCode::kUsage);
  EXPECT_EQ(error_of({.paths_from = folder / "none"}), ErrorCode::kNotFound);
  EXPECT_EQ(error_of({.sources = {folder.path()}, .paths_from = "-"}), ErrorCode::kUsage);
}

TEST(Listing, ListsOfPaths) {
  const TemporaryFolder folder;
  const std::string lines = folder.add("lines", "/a.jpg\r\n\n/b c.jpg\ns3://bucket/x?y.jpg\n/last.png");
  std::vector<std::string> found;
  for (const Entry& entry : entries({.paths_from = lines})) found.push_back(entry.path);
  EXPECT_THAT(found, ElementsAre("/a.jpg", "/b c.jpg", "s3://bucket/x?y.jpg", "/last.png"));

  const std::string nul = folder.add("nul", std::string("/a\nb.jpg\0/c.png\0", 16));
  found.clear();
  for (const Entry& entry : entries({.paths_from = nul})) found.push_back(entry.path);
  EXPECT_THAT(found, ElementsAre("/a\nb.jpg", "/c.png"));
  EXPECT_EQ(entries({.glob = "*.png", .paths_from = nul}).size(), 1U);

  EXPECT_EQ(error_of({.paths_from = folder.add("binary", std::string(2 << 20, 'x'))}), ErrorCode::kFormat);
}

TEST(Listing, StopEndsWaitingForTheTypist) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int old = ::dup(STDIN_FILENO);
  ::dup2(ends[0], STDIN_FILENO);
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  int calls = 0;
  list_photos({.paths_from = "-"}, [&](Entry&&) { return ++calls > 0; }, stop.get_token());
  EXPECT_EQ(calls, 0);
  ::dup2(old, STDIN_FILENO);
  for (const int fd : {old, ends[0], ends[1]}) ::close(fd);
}

TEST(Glob, MatchesAsAShellDoes) {
  EXPECT_TRUE(glob_match("*.jpg", "a.jpg"));
  EXPECT_FALSE(glob_match("*.jpg", "a.JPG"));
  EXPECT_TRUE(glob_match("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(glob_match("*a*b", "xxaxxbxx"));
  EXPECT_TRUE(glob_match("?[0-9][!a-c].*", "x5d.png"));
  EXPECT_FALSE(glob_match("?[0-9][!a-c].*", "x5b.png"));
  EXPECT_TRUE(glob_match("{a,b{c,d}}.jpg", "bd.jpg"));
  EXPECT_FALSE(glob_match("{a,b{c,d}}.jpg", "b.jpg"));
  EXPECT_TRUE(glob_match("a{b", "a{b"));
  EXPECT_TRUE(glob_match("{ab}", "{ab}"));
  EXPECT_TRUE(glob_match("a[b", "a[b"));
  EXPECT_TRUE(glob_match("[]]x", "]x"));
  EXPECT_TRUE(glob_match("\\*", "*"));
  EXPECT_FALSE(glob_match("\\*", "a"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_FALSE(glob_match("", "a"));
  std::string bomb;
  for (int i = 0; i < 40; ++i) bomb += "{a,b}";
  EXPECT_THROW(glob_match(bomb, "a"), Error);
  EXPECT_FALSE(glob_match("*a*a*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace pomona
