// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "pomona/storage/listing.h"
#include "pomona/storage/storage_test_support.h"

namespace pomona {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::string reason(const Entry& entry, ReadOptions options = {}) {
  std::vector<std::byte> bytes(3);
  const auto outcome = PhotoReader(options).read(entry, bytes);
  if (outcome) return "read";
  EXPECT_EQ(outcome.error().stage, Stage::kRead);
  EXPECT_TRUE(bytes.empty());
  return outcome.error().reason;
}

Entry listed(const std::string& source) {
  Entry result;
  list_photos({.sources = {source}}, [&](Entry&& entry) {
    result = std::move(entry);
    return true;
  });
  return result;
}

TEST(Reader, ReadsWholeFilesIntoTheSameMemory) {
  const TemporaryFolder folder;
  const std::string content(100'000, 'x');
  folder.add("a\nb \xff.jpg", content);
  const PhotoReader reader;
  std::vector<std::byte> bytes(200'000);
  const std::byte* memory = bytes.data();
  ASSERT_TRUE(reader.read(listed(folder.path()), bytes));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), content);
  EXPECT_EQ(bytes.data(), memory);
  Entry by_uri;
  folder.add("c d.jpg", "12");
  by_uri.path = "file://" + folder.path() + "/c%20d.jpg";
  ASSERT_TRUE(reader.read(by_uri, bytes));
  EXPECT_EQ(bytes.size(), 2U);
}

TEST(Reader, EachFaultHasItsReason) {
  const TemporaryFolder folder;
  Entry entry;
  entry.path = folder / "none.jpg";
  EXPECT_THAT(reason(entry), HasSubstr("gone"));
  entry.path = folder.path();
  EXPECT_THAT(reason(entry), HasSubstr("a folder, not a photo"));
  entry.path = folder.add("empty.jpg", "");
  EXPECT_THAT(reason(entry), HasSubstr("empty"));
  entry.path = folder.add("large.jpg", "123456789");
  EXPECT_THAT(reason(entry, {.max_bytes = 8}), HasSubstr("too large"));
  EXPECT_EQ(reason(entry, {.max_bytes = 9}), "read");
  entry.path = folder / "pipe.jpg";
  ASSERT_EQ(::mkfifo(entry.path.c_str(), 0600), 0);
  EXPECT_THAT(reason(entry), HasSubstr("not a regular file"));
  entry.path = "/dev/zero";
  EXPECT_THAT(reason(entry), HasSubstr("not a regular file"));
  entry.path = folder / "circle.jpg";
  std::filesystem::create_symlink("circle.jpg", entry.path);
  EXPECT_THAT(reason(entry), HasSubstr("circle"));
  entry.path = folder / std::string(300, 'x');
  EXPECT_THAT(reason(entry), HasSubstr("too long"));
  entry.path = std::string("/a\0b", 4);
  EXPECT_THAT(reason(entry), HasSubstr("NUL"));
  entry.path = "";
  EXPECT_THAT(reason(entry), HasSubstr("gone"));
  entry.path = "ftp://host/a.jpg";
  EXPECT_THAT(reason(entry), HasSubstr("not a store we know"));
}

TEST(Reader, NoPermission) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TemporaryFolder folder;
  Entry entry;
  entry.path = folder.add("a.jpg");
  ::chmod(entry.path.c_str(), 0);
  EXPECT_THAT(reason(entry), HasSubstr("no permission"));
}

TEST(Reader, ChangedSinceItWasListed) {
  const TemporaryFolder folder;
  folder.add("a.jpg", "old");
  const Entry entry = listed(folder.path());
  EXPECT_EQ(reason(entry), "read");
  folder.add("a.jpg", "newer");
  EXPECT_THAT(reason(entry), HasSubstr("changed after it was listed"));
  folder.add("a.jpg", "new");
  const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 5}, {.tv_sec = 1, .tv_nsec = 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, entry.path.c_str(), times, 0), 0);
  EXPECT_THAT(reason(entry), HasSubstr("changed after it was listed"));
}

// While a writer rewrites the file, whatever is accepted is one of its versions, never a mixture.
TEST(Reader, ChangedWhileItIsRead) {
  const TemporaryFolder folder;
  const std::size_t size = 3 << 20;
  Entry entry;
  entry.path = folder.add("a.jpg", std::string(size, 'a'));
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    for (char c = 'b'; !stop; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
      const int fd = ::open(entry.path.c_str(), O_WRONLY);
      const std::string content(size, c);
      if (::write(fd, content.data(), size) < 0) stop = true;
      ::close(fd);
    }
  });
  const PhotoReader reader;
  std::vector<std::byte> bytes;
  bool changed = false;
  // The writer may have to wait for its turn on a busy machine.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!changed && std::chrono::steady_clock::now() < deadline) {
    const auto outcome = reader.read(entry, bytes);
    changed = !outcome && outcome.error().reason.find("changed while it was read") != std::string::npos;
  }
  stop = true;
  EXPECT_TRUE(changed);
}

}  // namespace
}  // namespace pomona
