// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace pomona {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RunRecord, SaysWhatRan) {
  const json run = json::parse(R"({
    "model": "efficientnet-lite0", "preprocess": {"width": 224, "height": 224}, "seconds": 12.5,
    "fingerprint": {"precision": "bf16", "identity_hash": "0123456789abcdef0123"},
    "machine": {"pomona": "0.1.0", "cpu": "A CPU", "threads": 2},
    "invocation": ["pomona", "run", "s3://b/my photos", "/out"],
    "counts": {"listed": 10, "written": 8, "rejected": 2},
    "reject_reasons": {"decode: Ends 3 bytes early.": 1, "decode: Ends 17 bytes early.": 1},
    "stages": {"decode": 1.5, "featurize": 9},
    "timeline": [{"stage": "featurize", "begin": 0, "end": 11, "lane": 0}, {"stage": "publish", "begin": 11, "end": 12, "lane": 0}]})");
  ReportData data;
  add_run_record(run, data);
  EXPECT_EQ(data.run.command, "pomona run 's3://b/my photos' /out");
  EXPECT_EQ(data.run.facts.front().second, "efficientnet-lite0, 224 × 224 pixels");
  EXPECT_EQ(data.counts->rejected, 2);
  ASSERT_EQ(data.rejects.size(), 1);
  EXPECT_EQ(data.rejects[0].reason, "Ends N bytes early.");
  EXPECT_EQ(data.rejects[0].count, 2);
  EXPECT_EQ(data.stage_seconds.size(), 2);
  ASSERT_EQ(data.timeline.size(), 2);
  EXPECT_EQ(data.timeline[1].lane, "publish");

  add_later_step(json::parse(R"({"seconds": 2, "stages": {"fit": 0.5, "write": 1}})"), "reduce", data);
  EXPECT_EQ(data.run.seconds, 14.5);
  EXPECT_EQ(data.timeline.back().stage, "reduce");
  EXPECT_EQ(data.timeline.back().begin, 12.5);
}

TEST(Evaluation, SaysHowComponentsWereJudgedAndWhatFollowed) {
  ReportData data;
  data.run.seconds = 10;
  data.timeline.push_back({"featurize", "featurize", 0, 10});
  add_evaluation(
      json::parse(R"({"split": "Test", "photos": 60, "accuracy": 0.9, "mistakes_total": 6, "mistakes": [],
      "components_needed": [{"k": 4, "accuracy_f32": 0.9, "accuracy_f16": 0.9, "accuracy_u8": 0.8}],
      "components_needed_by": {"head": "lda", "split": "Test", "trained": 240, "judged": 60, "dimension": 1280},
      "steps": [{"stage": "train", "seconds": 2}, {"stage": "", "seconds": 5}, 7, {"stage": "evaluate", "seconds": 1}]})"),
      24, data);
  EXPECT_EQ(data.evaluation->split, "Test");
  EXPECT_EQ(data.mistakes_total, 6);
  ASSERT_EQ(data.storage.size(), 1);
  EXPECT_EQ(data.storage[0].bytes_u8, 4);
  ASSERT_TRUE(data.storage_basis);
  EXPECT_EQ(data.storage_basis->judged, 60);
  EXPECT_EQ(data.storage_basis->dimension, 1280);
  ASSERT_EQ(data.timeline.size(), 3);
  EXPECT_EQ(data.timeline[2].stage, "evaluate");
  EXPECT_EQ(data.timeline[2].begin, 12);
  EXPECT_EQ(data.run.seconds, 13);
}

TEST(Evaluation, DoesWithoutWordsOnHowComponentsWereJudged) {
  for (const char* by : {"3", "{}", R"({"judged": -1})", R"({"judged": "x", "head": 3})"}) {
    ReportData data;
    json evaluation = {{"components_needed", {{{"k", 4}, {"accuracy", 0.5}}}},
                       {"components_needed_by", json::parse(by)}};
    add_evaluation(evaluation, 24, data);
    EXPECT_EQ(data.storage.size(), 1) << by;
    EXPECT_FALSE(data.storage_basis) << by;
  }
}

TEST(RunRecord, KeepsCredentialsOutOfTheReport) {
  ReportData data;
  add_run_record(json::parse(R"({"invocation": ["pomona", "run", "s3://KEY:SECRET@bucket/x",
                                 "s3://b/x?access_key=AAA&secret_key=BBB&region=eu"]})"),
                 data);
  EXPECT_THAT(data.run.command, Not(HasSubstr("SECRET")));
  EXPECT_THAT(data.run.command, Not(HasSubstr("AAA")));
  EXPECT_THAT(data.run.command, Not(HasSubstr("BBB")));
  EXPECT_THAT(data.run.command, HasSubstr("region=eu"));
  EXPECT_THAT(data.run.command, HasSubstr("bucket/x"));
}

TEST(RunRecord, SurvivesAnything) {
  for (
      const char* text :
      {"null", "[]", "3", "\"x\"", R"({"stages": 3, "timeline": {"a": 1}, "counts": [], "invocation": 7})",
       R"({"timeline": [1, null, {"stage": "a"}, {"stage": "b", "begin": 5, "end": 1}], "stages": {"a": "b"}})",
       R"({"fingerprint": [], "machine": "x", "reject_reasons": {"no colon": 1, "a: b": -1}})"}) {
    ReportData data;
    add_run_record(json::parse(text), data);
    add_later_step(json::parse(text), "reduce", data);
    EXPECT_TRUE(data.stage_seconds.empty()) << text;
    EXPECT_TRUE(data.timeline.empty()) << text;
    EXPECT_TRUE(data.rejects.empty()) << text;
  }
}

TEST(Evaluation, IsTakenOver) {
  const json evaluation = json::parse(R"({
    "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "top3": 1, "classes": ["a", "b"],
    "confusion": [[5, 1], [0, 4]], "per_class": [{"label": "a", "precision": 1, "recall": 0.8, "f1": 0.9, "support": 6}, 3],
    "mistakes": [{"path": "p1", "label": "a", "predicted": "b", "probability": 0.6},
                 {"path": "p2", "label": "a", "predicted": "b", "probability": 0.9}, {"label": "no path"}],
    "components_needed": [{"k": 10, "accuracy": 0.9, "bytes_f32": 40, "bytes_f16": 20, "bytes_u8": 10}, {"k": -1}, "x"]})");
  ReportData data;
  add_evaluation(evaluation, 1, data);
  ASSERT_TRUE(data.evaluation);
  EXPECT_EQ(data.evaluation->metrics.size(), 2);
  EXPECT_EQ(data.evaluation->metrics[0].low, 0.8);
  EXPECT_THAT(data.evaluation->confusion, ElementsAre(5, 1, 0, 4));
  EXPECT_EQ(data.evaluation->per_class.size(), 1);
  ASSERT_EQ(data.mistakes.size(), 1);
  EXPECT_EQ(data.mistakes[0].path, "p2");
  EXPECT_EQ(data.mistakes_total, 2);
  ASSERT_EQ(data.storage.size(), 1);
  EXPECT_EQ(data.storage[0].accuracy_f32, 0.9);
  EXPECT_FALSE(data.storage[0].accuracy_u8);
}

TEST(Evaluation, AMatrixThatDoesNotFitIsLeftOut) {
  for (const char* confusion : {"[[1, 2]]", "[[1], [2]]", "[[1, -2], [3, 4]]", "[[1, \"x\"], [3, 4]]", "7"}) {
    json evaluation = {{"classes", {"a", "b"}}};
    evaluation["confusion"] = json::parse(confusion);
    ReportData data;
    add_evaluation(evaluation, 5, data);
    EXPECT_TRUE(data.evaluation->confusion.empty()) << confusion;
  }
}

TEST(Rejects, TheFrequentOnesAndTheRest) {
  std::vector<RejectGroup> rejects;
  for (int i = 0; i < 100; ++i) {
    rejects.push_back(
        {"decode",
         std::string(1, static_cast<char>('A' + i % 50)) + std::string(static_cast<std::size_t>(i % 50), 'x'),
         1,
         {"p"}});
  }
  rejects.push_back({"read", "Empty file.", 1000, {"e"}});
  const auto groups = group_rejects(rejects);
  ASSERT_EQ(groups.size(), 30);
  EXPECT_EQ(groups[0].reason, "Empty file.");
  std::uint64_t sum = 0;
  for (const auto& group : groups) sum += group.count;
  EXPECT_EQ(sum, 1100);
}

}  // namespace
}  // namespace pomona
