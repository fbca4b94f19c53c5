// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/base/text.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::path(testing::TempDir()) / ("pomona-base-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

TEST(Text, TellsUtf8FromOtherBytes) {
  EXPECT_TRUE(is_utf8("pomme d'été 🍎"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_FALSE(is_utf8("\xc0\xaf")) << "overlong";
  EXPECT_FALSE(is_utf8("\xed\xa0\x80")) << "surrogate";
  EXPECT_FALSE(is_utf8("ab\xe2\x82")) << "cut short";
}

TEST(Text, EscapesOnlyPathsThatAreNotUtf8) {
  EXPECT_EQ(escape_path("a/100% été.jpg"), "a/100% été.jpg");
  EXPECT_EQ(escape_path("a/100%\xe9.jpg"), "a/100%25%E9.jpg");
}

TEST(Text, SpeaksInUnitsOfPeople) {
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(12), "12 B");
  EXPECT_EQ(human_seconds(0.42), "0.4 s");
  EXPECT_EQ(human_seconds(75.2), "1 min 15 s");
  EXPECT_EQ(human_seconds(3725), "1 h 02 min");
  EXPECT_EQ(human_count(7478), "7,478");
  EXPECT_EQ(human_count(478), "478");
  EXPECT_EQ(human_count(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "photo"), "1 photo");
  EXPECT_EQ(counted(0, "photo"), "0 photos");
  EXPECT_EQ(counted(7478, "photo"), "7,478 photos");
  EXPECT_EQ(lower_case("ABCZ-é-\xc9[@`{"), "abcz-é-\xc9[@`{");
  EXPECT_EQ(name_some({"Fig"}), "'Fig'");
  EXPECT_EQ(name_some({"a", "b", "c", "d", "e"}), "'a', 'b', 'c', 'd', 'e'");
  EXPECT_EQ(name_some({"a", "b", "c", "d", "e", "f", "g"}), "'a', 'b', 'c', 'd', 'e' and 2 more");
}

TEST(Hash, AgreesWithPublishedVectors) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // XXH3-128 of the empty input, from the specification's reference implementation.
  EXPECT_EQ(to_hex(content_hash({})), "99aa06d3014798d86001c324468d497f");
}

TEST(Files, AreWrittenWholeOrNotAtAll) {
  const Folder folder;
  const fs::path file = folder.path / "deep" / "a.txt";
  write_file_atomically(file, "one");
  write_file_atomically(file, "two");
  EXPECT_EQ(read_file(file), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(file.parent_path()), {}), 1) << "a temporary file was left";
  EXPECT_EQ(sha256_file(file), sha256_hex("two"));
  try {
    read_file(folder.path / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("absent"), std::string::npos);
  }
}

TEST(Files, WhatIsNoFileIsNeverReplaced) {
  const Folder folder;
  const fs::path pipe = folder.path / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = read_file(pipe); });
  write_file_atomically(pipe, "through");
  reader.join();
  EXPECT_EQ(got, "through");
  EXPECT_TRUE(fs::is_fifo(pipe));
  write_file_atomically("/dev/null", "nowhere");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));

  const fs::path link = folder.path / "link";
  fs::create_symlink(folder.path / "target", link);
  write_file_atomically(link, "first");
  write_file_atomically(link, "second");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_file(folder.path / "target"), "second");
}

TEST(Files, AFailedReadIsNotTheEnd) {
  // Linux answers EIO to a read at an address where nothing is.
  try {
    read_file("/proc/self/mem");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_NE(std::string(error.what()).find("run again"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(read_file("/proc/self/status").empty()) << "a file that says it has no bytes";
}

TEST(Cpu, FollowsTheControlGroupsQuota) {
  const int all = cpu_budget("/nonexistent");
  EXPECT_GE(all, 1);
  const Folder folder;
  std::ofstream(folder.path / "cpu.max") << "100000 100000\n";
  EXPECT_EQ(cpu_budget(folder.path), 1);
  std::ofstream(folder.path / "cpu.max") << "150000 100000\n";
  EXPECT_EQ(cpu_budget(folder.path), std::min(all, 2));
  std::ofstream(folder.path / "cpu.max") << "max 100000\n";
  EXPECT_EQ(cpu_budget(folder.path), all);
  fs::create_directories(folder.path / "cpu");
  std::ofstream(folder.path / "cpu" / "cpu.cfs_quota_us") << "50000\n";
  std::ofstream(folder.path / "cpu" / "cpu.cfs_period_us") << "100000\n";
  EXPECT_EQ(cpu_budget(folder.path), 1);
}

TEST(Paths, FollowTheEnvironment) {
  setenv("POMONA_HOME", "/p", 1);
  EXPECT_EQ(models_home(), "/p/models");
  EXPECT_EQ(cache_home(), "/p/cache");
  unsetenv("POMONA_HOME");
  setenv("XDG_DATA_HOME", "/d", 1);
  setenv("XDG_CACHE_HOME", "/c", 1);
  EXPECT_EQ(models_home(), "/d/pomona/models");
  EXPECT_EQ(cache_home(), "/c/pomona");
}

}  // namespace
}  // namespace pomona
