// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/render.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/report/slides.h"

namespace pomona {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The text between the tags of the data, as a browser's parser finds its end.
std::string data_text(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"report-data\">";
  const std::size_t begin = page.find(open);
  EXPECT_NE(begin, std::string::npos);
  const std::size_t end = page.find("</script", begin);
  return page.substr(begin + open.size(), end - begin - open.size());
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Render, AnEmptyReportHasAnOverviewOnly) {
  const ReportData data;
  EXPECT_THAT(report_sections(data), ElementsAre("overview"));
  const json parsed = json::parse(data_text(render_report(data)));
  EXPECT_EQ(parsed["sections"], json::array({"overview"}));
  EXPECT_FALSE(parsed.contains("scatter"));
  EXPECT_FALSE(parsed.contains("evaluation"));
}

TEST(Render, HostileNamesStayText) {
  const std::string hostile =
      "</script><script>alert('x')</script><!-- \"quoted\" \\ \n\t {{data}} {{title}} \xe2\x80\xa8";
  ReportData data;
  data.title = hostile;
  data.run.command = hostile;
  data.classes.push_back({hostile, 3, 0, {}});
  const std::string page = render_report(data);
  const std::string plain = render_report(ReportData{});
  // Not one tag more than a report without the name.
  EXPECT_EQ(count_of(page, "<script"), count_of(plain, "<script"));
  EXPECT_EQ(count_of(page, "</script"), count_of(plain, "</script"));
  EXPECT_EQ(count_of(page, "<!--"), count_of(plain, "<!--"));
  const json parsed = json::parse(data_text(page));
  EXPECT_EQ(parsed["title"], hostile);
  EXPECT_EQ(parsed["run"]["command"], hostile);
  EXPECT_EQ(parsed["classes"][0]["name"], hostile);
}

TEST(Render, BytesThatAreNotUtf8AreMended) {
  ReportData data;
  data.run.command = "caf\xe9.jpg";
  const json parsed = json::parse(data_text(render_report(data)));
  EXPECT_EQ(parsed["run"]["command"], "caf\xef\xbf\xbd.jpg");
}

TEST(Render, FetchesNothing) {
  const std::string page = render_report(ReportData{});
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, Not(HasSubstr("<link")));
  EXPECT_THAT(page, Not(HasSubstr("<iframe")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
}

TEST(Render, PointsAreQuantizedOverTheRangeOfTheirColumn) {
  ReportData data;
  data.classes.push_back({"a", 2, 0, {}});
  ReportScatter scatter;
  scatter.components = 2;
  scatter.values = {-1, 10, 3, 20, 1, std::numeric_limits<float>::quiet_NaN()};
  scatter.group = {0, kNoGroup, 0};
  scatter.total = 100;
  data.scatter = scatter;
  const json parsed = json::parse(data_text(render_report(data)))["scatter"];
  EXPECT_EQ(parsed["n"], 3);
  EXPECT_EQ(parsed["total"], 100);
  EXPECT_EQ(parsed["low"], json::array({-1.0, 10.0}));
  EXPECT_EQ(parsed["high"], json::array({3.0, 20.0}));
  // u16 little-endian: 0, 0, 65535, 65535, 32768, 0.
  EXPECT_EQ(parsed["values"], "AAAAAP////8AgAAA");
  EXPECT_EQ(parsed["group"], "AAD//wAA");
}

TEST(Render, NumbersThatAreNoneBecomeZero) {
  ReportData data;
  data.evaluation = ReportEvaluation{};
  data.evaluation->metrics = {{"Accuracy", std::nan(""), {}, {}}};
  data.evaluation->per_class = {{"a", std::nan(""), 1, std::nan(""), 3}};
  data.stage_seconds = {{"read", std::numeric_limits<double>::infinity()}};
  const json parsed = json::parse(data_text(render_report(data)));
  EXPECT_EQ(parsed["evaluation"]["metrics"][0]["value"], 0);
  EXPECT_EQ(parsed["evaluation"]["perClass"][0]["precision"], 0);
  EXPECT_EQ(parsed["stageSeconds"][0][1], 0);
}

TEST(Render, ContradictionsAreRefused) {
  ReportData data;
  data.sample = {0};
  EXPECT_THROW(render_report(data), Error);
  data.sample.clear();
  data.scatter = ReportScatter{
      .components = 2, .values = {1, 2}, .group = {5}, .cluster = {}, .thumbnail = {}, .total = 1, .seed = 0};
  EXPECT_THROW(render_report(data), Error);
  data.scatter.reset();
  data.evaluation = ReportEvaluation{};
  data.evaluation->classes = {"a", "b"};
  data.evaluation->confusion = {1, 2, 3};
  EXPECT_THROW(render_report(data), Error);
}

TEST(Slides, SayWhatIsMissing) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "pomona-slides-test";
  std::filesystem::create_directories(folder);
  EXPECT_THROW(write_slides(folder / "none.html", folder), Error);
  std::ofstream(folder / "other.html") << "<html><body>no report</body></html>";
  try {
    write_slides(folder / "other.html", folder);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFormat);
  }
  std::ofstream(folder / "evil.html") << "<meta name=\"pomona-sections\" content=\"../../x\">";
  EXPECT_THROW(write_slides(folder / "evil.html", folder), Error);

  std::ofstream(folder / "report.html") << render_report(ReportData{});
  setenv("POMONA_CHROMIUM", "/nowhere/chromium", 1);
  try {
    write_slides(folder / "report.html", folder / "out");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/chromium"));
  }
  // A browser that draws nothing and says why.
  std::ofstream(folder / "broken") << "#!/bin/sh\necho no display >&2\nexit 3\n";
  std::filesystem::permissions(folder / "broken", std::filesystem::perms::owner_all);
  setenv("POMONA_CHROMIUM", (folder / "broken").c_str(), 1);
  try {
    write_slides(folder / "report.html", folder / "out");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no display"));
  }
  std::ofstream(folder / "asleep") << "#!/bin/sh\nsleep 60\n";
  std::filesystem::permissions(folder / "asleep", std::filesystem::perms::owner_all);
  setenv("POMONA_CHROMIUM", (folder / "asleep").c_str(), 1);
  SlideOptions options;
  options.timeout_seconds = 0.2;
  EXPECT_THROW(write_slides(folder / "report.html", folder / "out", options), Error);
  unsetenv("POMONA_CHROMIUM");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace pomona
