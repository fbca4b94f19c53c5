// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/pull.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/samples/unpack.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// One ustar member, written by hand: no tool makes the hostile ones.
std::string member(const std::string& name, const std::string& body, char type = '0',
                   const std::string& link = {}) {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) { header.replace(at, text.size(), text); };
  char number[16];
  put(0, name.substr(0, 100));
  put(100, "0000777");
  put(108, "0000000");
  put(116, "0000000");
  std::snprintf(number, sizeof number, "%011zo", body.size());
  put(124, number);
  put(136, "00000000000");
  put(148, "        ");
  header[156] = type;
  put(157, link);
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(number, sizeof number, "%06o", sum);
  put(148, std::string(number) + '\0' + ' ');
  return header + body + std::string((512 - body.size() % 512) % 512, '\0');
}

std::string archive_of(const std::vector<std::string>& members) {
  std::string all;
  for (const std::string& one : members) all += one;
  return all + std::string(1024, '\0');
}

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    char name[] = "/tmp/pomona-pull-XXXXXX";
    folder_ = ::mkdtemp(name);
    archive_ = folder_ / "set.tar";
    out_ = folder_ / "photos";
  }
  ~PullTest() override { fs::remove_all(folder_); }

  UnpackResult unpack(const std::vector<std::string>& members, const UnpackOptions& options = {.strip = 1}) {
    write_file_atomically(archive_, archive_of(members));
    return unpack_archive(archive_, out_, options, hooks_);
  }

  // The error of a refused archive; nothing may be left of it.
  std::string refusal(const std::vector<std::string>& members, const UnpackOptions& options = {.strip = 1}) {
    try {
      unpack(members, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat) << error.what();
      int left = 0;
      for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_)) ++left;
      EXPECT_EQ(left, 1) << "only the archive may be there";
      return error.what();
    }
    ADD_FAILURE() << "not refused";
    return {};
  }

  fs::path folder_;
  fs::path archive_;
  fs::path out_;
  Hooks hooks_;
};

TEST_F(PullTest, UnpacksWithoutTheTopFolder) {
  const UnpackResult result =
      unpack({member("set-main/", "", '5'), member("set-main/README.md", "read"),
              member("set-main/Training/Apple 1/r0_3_100.jpg", std::string(70'000, 'x'))});
  EXPECT_EQ(result.files, 2U);
  EXPECT_EQ(result.bytes, 70'004U);
  EXPECT_EQ(read_file(out_ / "README.md"), "read");
  EXPECT_EQ(read_file(out_ / "Training/Apple 1/r0_3_100.jpg"), std::string(70'000, 'x'));
  EXPECT_EQ(fs::status(out_ / "README.md").permissions() & fs::perms::others_exec, fs::perms::none);
}

TEST_F(PullTest, ReadsNamesInUtf8WhateverTheLocale) {
  const std::string name =
      "a/P\xC3\xAA"
      "che plate/0_100.jpg";
  const std::string record = std::to_string(name.size() + 9) + " path=" + name + "\n";
  ASSERT_EQ(record.size(), name.size() + 9);
  unpack({member("a/pax", record, 'x'), member("a/short", "1")});
  EXPECT_EQ(read_file(out_ / "P\xC3\xAA"
                             "che plate/0_100.jpg"),
            "1");
  fs::remove_all(out_);
  EXPECT_THAT(refusal({member("a/pax", "18 path=a/../../x\n", 'x'), member("a/short", "1")}),
              HasSubstr("outside the folder"));
}

TEST_F(PullTest, RefusesPlacesOutside) {
  EXPECT_THAT(refusal({member("a/ok", "1"), member("a/../../escaped", "2")}),
              HasSubstr("outside the folder"));
  EXPECT_THAT(refusal({member("a/ok", "1"), member("/tmp/pomona-escaped", "2")}),
              HasSubstr("outside the folder"));
  EXPECT_THAT(refusal({member("a/ok", "1"), member("..", "", '5')}), HasSubstr("outside the folder"));
  EXPECT_FALSE(fs::exists("/tmp/pomona-escaped"));
}

TEST_F(PullTest, LeavesLinksAndDevicesOut) {
  std::vector<std::string> warnings;
  hooks_.warning = [&](const std::string& text) { warnings.push_back(text); };
  const UnpackResult result = unpack({member("a/photo.jpg", "1"), member("a/soft", "", '2', "/etc/passwd"),
                                      member("a/hard", "", '1', "/etc/passwd"), member("a/null", "", '3'),
                                      member("a/pipe", "", '6')});
  EXPECT_EQ(result.files, 1U);
  EXPECT_EQ(result.skipped, 4U);
  EXPECT_THAT(warnings, ::testing::ElementsAre(HasSubstr("4 links or devices")));
  EXPECT_FALSE(fs::exists(fs::symlink_status(out_ / "soft")));
  EXPECT_FALSE(fs::exists(out_ / "hard"));
}

TEST_F(PullTest, NeverWritesThroughALinkOfTheArchive) {
  const fs::path target = folder_.string() + "-target";
  fs::create_directories(target);
  const UnpackResult result =
      unpack({member("a/door", "", '2', target.string()), member("a/door/inside", "1")});
  EXPECT_EQ(result.files, 1U);
  EXPECT_TRUE(fs::is_empty(target));
  EXPECT_EQ(read_file(out_ / "door/inside"), "1");
  fs::remove_all(target);
}

TEST_F(PullTest, RefusesWhatComesTwiceIsCutShortTooLargeOrEmpty) {
  EXPECT_THAT(refusal({member("a/x", "1"), member("a/x", "2")}), HasSubstr("twice"));
  EXPECT_THAT(refusal({member("a/x", "1"), member("a/x/y", "2")}), HasSubstr("file and a folder"));
  EXPECT_THAT(refusal({member("a/x", std::string(5'000, 'x'))}, {.strip = 1, .max_bytes = 4'000}),
              HasSubstr("max_bytes"));
  EXPECT_THAT(refusal({member("a/x", "1"), member("a/y", "1")}, {.strip = 1, .max_members = 1}),
              HasSubstr("max_members"));
  EXPECT_THAT(refusal({member("a/x", "1"), member("a/b/", "", '5')}, {.strip = 1, .max_members = 1}),
              HasSubstr("max_members"));
  EXPECT_THAT(refusal({member("a/\x1B]0;title\a/..", "1")}), HasSubstr("a/?]0;title?/.."));
  EXPECT_THAT(refusal({member("a/", "", '5')}), HasSubstr("no files"));
  const std::string whole = member("a/x", std::string(5'000, 'x'));
  write_file_atomically(archive_, whole.substr(0, 2'000));
  EXPECT_THROW(unpack_archive(archive_, out_, {}, hooks_), Error);
  EXPECT_FALSE(fs::exists(out_));
  write_file_atomically(archive_, "this is no archive at all");
  EXPECT_THROW(unpack_archive(archive_, out_, {}, hooks_), Error);
}

TEST_F(PullTest, RefusesBackslashesLongNamesAndDeepFolders) {
  EXPECT_THAT(refusal({member("a/ok", "1"), member("a/..\\..\\escaped", "2")}),
              HasSubstr("outside the folder"));
  EXPECT_THAT(refusal({member("C:\\x", "1")}), HasSubstr("another system"));
  const auto with_path = [](const std::string& path) {
    std::string record = " path=" + path + "\n";
    std::size_t size = record.size() + 1;
    while (std::to_string(size).size() + record.size() != size) ++size;
    return member("a/pax", std::to_string(size) + record, 'x') + member("a/short", "1");
  };
  EXPECT_THAT(refusal({with_path("a/" + std::string(256, 'n'))}), HasSubstr("longer than 255 bytes"));
  EXPECT_THAT(refusal({with_path("a/" + std::string(5'000, 'n'))}), HasSubstr("no usable name"));
  std::string deep = "a/";
  for (int i = 0; i < 300; ++i) deep += "d/";
  EXPECT_THAT(refusal({with_path(deep + "x")}), HasSubstr("32 folders deep"));
  EXPECT_EQ(unpack({with_path("a/" + std::string(255, 'n'))}).files, 1U);
}

TEST_F(PullTest, FoldersThatNoMemberNamesCountToo) {
  EXPECT_THAT(refusal({member("a/b/c/d/x", "1")}, {.strip = 1, .max_members = 2}), HasSubstr("max_members"));
  EXPECT_EQ(
      unpack({member("a/b/c/d/x", "1"), member("a/b/c/d/y", "1")}, {.strip = 1, .max_members = 5}).files, 2U);
}

// A hole of 40 GB in a GNU sparse member costs nothing in the archive; its size is looked at before a byte of
// it.
TEST_F(PullTest, RefusesSparseAndCompressedBombs) {
  ASSERT_EQ(std::system(("cd " + folder_.string() +
                         " && mkdir s && truncate -s 40G s/hole && tar -cSf set.tar s && "
                         "rm -r s")
                            .c_str()),
            0);
  const auto message = [&](const UnpackOptions& options) -> std::string {
    try {
      unpack_archive(archive_, out_, options, hooks_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat);
      EXPECT_FALSE(fs::exists(folder_ / ".photos.unpacking"));
      return error.what();
    }
    ADD_FAILURE() << "not refused";
    return {};
  };
  EXPECT_THAT(message({.strip = 1, .max_bytes = 1 << 30}), HasSubstr("max_bytes"));
  EXPECT_THAT(message({.strip = 1}), HasSubstr("archive bomb"));
  // 100 MB of zeros, in a few kilobytes.
  for (const char* make : {"t = tarfile.open('set.tar', 'w:xz', preset=0); i = tarfile.TarInfo('s/x'); "
                           "i.size = 10**8; t.addfile(i, io.BytesIO(bytes(i.size))); t.close()",
                           "z = zipfile.ZipFile('set.tar', 'w', 8); "
                           "z.open('s/x', 'w', force_zip64=True).write(bytes(10**8)); z.close()"}) {
    fs::remove(archive_);
    const std::string command =
        "cd " + folder_.string() + " && python3 -c \"import io, tarfile, zipfile; " + make + "\"";
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_THAT(message({.strip = 1}), HasSubstr("archive bomb")) << make;
  }
}

// A zip that names a place outside: made by libarchive itself, which writes any name it is given.
TEST_F(PullTest, ReadsZipAndRefusesTheSameThere) {
  const auto write_zip = [&](const std::string& name) {
    const std::unique_ptr<archive, decltype(&archive_write_free)> zip(archive_write_new(),
                                                                      &archive_write_free);
    archive_write_set_format_zip(zip.get());
    ASSERT_EQ(archive_write_open_filename(zip.get(), archive_.c_str()), ARCHIVE_OK);
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              &archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), 4);
    ASSERT_EQ(archive_write_header(zip.get(), entry.get()), ARCHIVE_OK);
    ASSERT_EQ(archive_write_data(zip.get(), "jpeg", 4), 4);
    ASSERT_EQ(archive_write_close(zip.get()), ARCHIVE_OK);
  };
  write_zip("set-main/Test/Kiwi 1/3_100.jpg");
  EXPECT_EQ(unpack_archive(archive_, out_, {.strip = 1}, hooks_).files, 1U);
  EXPECT_EQ(read_file(out_ / "Test/Kiwi 1/3_100.jpg"), "jpeg");
  fs::remove_all(out_);
  for (const char* name :
       {"set-main/../../escaped", "set-main\\..\\..\\escaped", "/tmp/escaped", "set-main/..\\..\\escaped"}) {
    write_zip(name);
    EXPECT_THROW(unpack_archive(archive_, out_, {.strip = 1}, hooks_), Error) << name;
    EXPECT_FALSE(fs::exists(out_));
    EXPECT_FALSE(fs::exists(folder_.parent_path() / "escaped"));
  }
}

TEST_F(PullTest, KeepsWhatIsThere) {
  write_file_atomically(out_ / "mine", "1");
  try {
    unpack({member("a/x", "1")});
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExists);
  }
  EXPECT_EQ(read_file(out_ / "mine"), "1");
}

TEST_F(PullTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  write_file_atomically(archive_, archive_of({member("a/x", "1")}));
  try {
    unpack_archive(archive_, out_, {}, hooks_, source.get_token());
    ADD_FAILURE() << "not stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(PullTest, FetchesAndUnpacksACompressedSet) {
  write_file_atomically(archive_, archive_of({member("set-main/Test/Pear 2/3_100.jpg", "jpeg")}));
  ASSERT_EQ(std::system(("gzip -k " + archive_.string()).c_str()), 0);
  const std::string url = "file://" + archive_.string() + ".gz";
  const PublicDataset dataset{"set", "", url, "", "", ""};
  PullOptions options;
  options.cache = folder_ / "cache";
  options.allow_file_url = true;
  fs::create_directories(out_);  // an empty folder is as good as none
  const UnpackResult result = pull_dataset(dataset, out_, options, hooks_);
  EXPECT_EQ(result.files, 1U);
  EXPECT_EQ(read_file(out_ / "Test/Pear 2/3_100.jpg"), "jpeg");
  EXPECT_TRUE(fs::is_empty(options.cache)) << "the archive is not needed any more";
  EXPECT_THROW(pull_dataset(dataset, out_, options, hooks_), Error) << "the folder holds photos now";
}

TEST_F(PullTest, ADamagedArchiveIsNotKept) {
  write_file_atomically(folder_ / "bad.tar.gz", "no archive");
  const std::string url = "file://" + (folder_ / "bad.tar.gz").string();
  PullOptions options;
  options.cache = folder_ / "cache";
  options.allow_file_url = true;
  EXPECT_THROW(pull_dataset({"set", "", url, "", "", ""}, out_, options, hooks_), Error);
  EXPECT_TRUE(fs::is_empty(options.cache));
  EXPECT_FALSE(fs::exists(out_));
}

TEST(PublicDatasets, AreKnownByName) {
  EXPECT_THAT(std::string(find_dataset("fruits-360").url), HasSubstr("fruits-360-100x100"));
  EXPECT_THAT(std::string(find_dataset("fruits-360-original-size").url), HasSubstr("original-size"));
  EXPECT_THROW(find_dataset("fruits"), Error);
}

}  // namespace
}  // namespace pomona
