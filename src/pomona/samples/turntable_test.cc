// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/turntable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <stop_token>
#include <string>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/samples/stamp.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TurntableTest : public ::testing::Test {
 protected:
  TurntableTest() {
    char name[] = "/tmp/pomona-turntable-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~TurntableTest() override { fs::remove_all(folder_); }

  void SetUp() override {
    if (!fs::exists(TurntableOptions{}.stamps.front())) GTEST_SKIP() << "tuxpaint-stamps-default is missing";
  }

  // Path below `folder` -> bytes, of every photo.
  static std::map<std::string, std::string> photos(const fs::path& folder) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".jpg")
        found[entry.path().lexically_relative(folder)] = read_file(entry.path());
    }
    return found;
  }

  static ErrorCode error_of(const std::function<void()>& call, std::string* message = nullptr) {
    try {
      call();
    } catch (const Error& error) {
      if (message != nullptr) *message = error.what();
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }

  fs::path folder_;
};

TEST_F(TurntableTest, TheSameBytesForAnyNumberOfThreads) {
  TurntableOptions options;
  options.count = 130;
  options.threads = 1;
  make_turntable(folder_ / "one", options, {});
  options.threads = 5;
  make_turntable(folder_ / "five", options, {});
  options.seed = 2;
  make_turntable(folder_ / "other", options, {});
  const auto one = photos(folder_ / "one");
  EXPECT_EQ(one.size(), 130U);
  EXPECT_EQ(one, photos(folder_ / "five"));
  EXPECT_NE(one, photos(folder_ / "other"));
}

TEST_F(TurntableTest, SharesPhotosEvenlyAndSplitsThemThreeToOne) {
  TurntableOptions options;
  options.count = 44 * 8 + 3;
  const TurntableResult result = make_turntable(folder_ / "set", options, {});
  EXPECT_EQ(result.photos, options.count);
  EXPECT_EQ(result.classes.size(), 44U);
  EXPECT_EQ(result.training + result.test, result.photos);
  std::map<std::string, int> of_class;
  std::map<std::string, std::uint64_t> of_split;
  std::set<std::string> different;
  std::uint64_t bytes = 0;
  for (const auto& [path, jpeg] : photos(folder_ / "set")) {
    const fs::path place(path);
    ++of_split[*place.begin()];
    ++of_class[*std::next(place.begin())];
    EXPECT_THAT(path, HasSubstr("_100.jpg"));
    different.insert(jpeg);
    bytes += jpeg.size();
  }
  EXPECT_EQ(of_split["Training"], result.training);
  EXPECT_EQ(of_split["Test"], result.test);
  EXPECT_NEAR(static_cast<double>(result.test) / static_cast<double>(result.photos), 0.25, 0.01);
  EXPECT_EQ(bytes, result.bytes);
  EXPECT_EQ(different.size(), options.count);
  ASSERT_EQ(of_class.size(), 44U);
  for (const auto& [name, count] : of_class) EXPECT_TRUE(count == 8 || count == 9) << name << count;
  EXPECT_TRUE(of_class.contains("Green Apple"));
  EXPECT_TRUE(of_class.contains("Strawberry 2"));
}

TEST_F(TurntableTest, CarriesOnWhereItStopped) {
  TurntableOptions options;
  options.count = 60;
  const fs::path set = folder_ / "set";
  const TurntableResult first = make_turntable(set, options, {});
  const auto whole = photos(set);
  int removed = 0;
  for (const auto& [path, jpeg] : whole) {
    if (removed < 7) removed += fs::remove(set / path) ? 1 : 0;
  }
  const TurntableResult second = make_turntable(set, options, {});
  EXPECT_EQ(first.kept, 0U);
  EXPECT_EQ(second.kept, 53U);
  EXPECT_EQ(second.bytes, first.bytes);
  EXPECT_EQ(photos(set), whole);
}

TEST_F(TurntableTest, StopsWhenAsked) {
  TurntableOptions options;
  options.count = 1'000'000;
  std::stop_source source;
  Hooks hooks;
  hooks.progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.total, options.count);
    source.request_stop();
  };
  EXPECT_EQ(error_of([&] { make_turntable(folder_ / "set", options, hooks, source.get_token()); }),
            ErrorCode::kCancelled);
  EXPECT_LT(photos(folder_ / "set").size(), 1'000U);
}

TEST_F(TurntableTest, LeavesOthersFoldersAlone) {
  write_file_atomically(folder_ / "mine" / "letter.txt", "dear");
  TurntableOptions options;
  options.count = 5;
  EXPECT_EQ(error_of([&] { make_turntable(folder_ / "mine", options, {}); }), ErrorCode::kExists);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "mine"), {}), 1);

  make_turntable(folder_ / "set", options, {});
  const auto before = photos(folder_ / "set");
  options.seed = 2;
  EXPECT_EQ(error_of([&] { make_turntable(folder_ / "set", options, {}); }), ErrorCode::kExists);
  EXPECT_EQ(photos(folder_ / "set"), before);
  EXPECT_EQ(error_of([&] { make_turntable(folder_ / "mine" / "letter.txt", options, {}); }),
            ErrorCode::kExists);
}

TEST_F(TurntableTest, NamesThePackageThatIsMissing) {
  TurntableOptions options;
  options.stamps = {folder_ / "nothing"};
  std::string message;
  EXPECT_EQ(error_of([&] { make_turntable(folder_ / "set", options, {}); }, &message), ErrorCode::kNotFound);
  EXPECT_THAT(message, HasSubstr("tuxpaint-stamps-default"));
  EXPECT_FALSE(fs::exists(folder_ / "set"));
  options = {};
  options.count = 0;
  EXPECT_EQ(error_of([&] { make_turntable(folder_ / "set", options, {}); }), ErrorCode::kUsage);
}

TEST(StampNames, AreThoseOfTheFruit) {
  EXPECT_EQ(Stamp::class_name("apple_green.png"), "Green Apple");
  EXPECT_EQ(Stamp::class_name("sliced_lime.png"), "Sliced Lime");
  EXPECT_EQ(Stamp::class_name("Strawberry2.png"), "Strawberry 2");
  EXPECT_EQ(Stamp::class_name("food/yellowpepper.png"), "Yellow Pepper");
  EXPECT_EQ(Stamp::class_name("x.png"), "X");
}

// A picture that is no picture ends in an error, not in a class of nothing.
TEST_F(TurntableTest, TellsWhatIsWrongWithAStamp) {
  write_file_atomically(folder_ / "broken.png", "no png");
  std::string message;
  EXPECT_EQ(error_of([&] { Stamp stamp(folder_ / "broken.png"); }, &message), ErrorCode::kFormat);
  EXPECT_THAT(message, HasSubstr("broken.png"));
}

}  // namespace
}  // namespace pomona
