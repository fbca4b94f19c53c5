// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/run.h"

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/pipeline/report.h"
#include "pomona/pipeline/stage_clock.h"
#include "pomona/storage/hold_place.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

std::string features_digest(const Store& dest) {
  const Store features = dest.at("features");
  return features.exists("_run.json") ? rows_digest(parse_json(features.read("_run.json"))) : "";
}

// A model where the photos have labels. Photos without are no failure: the tables are what was asked for.
void train_and_judge(const RunOptions& options, const std::optional<Network>& network, RunResult& result,
                     const Hooks& hooks, const std::stop_token& stop) {
  TrainingOptions train_options = *options.train;
  train_options.data.source = uri_below(options.dest, "features");
  train_options.output = uri_below(options.dest, "model.onnx");
  train_options.overwrite = true;
  train_options.threads = options.featurize.threads;
  train_options.invocation = options.featurize.invocation;
  train_options.loaded = network;
  const Store dest = Store::open(options.dest);
  // Figures of an earlier model must not stand beside the new one, not even where the judging is killed.
  train_options.before_writing = [&] { dest.remove("evaluation.json"); };
  StageClock clock;
  nlohmann::json steps = nlohmann::json::array();
  const auto step = [&](const char* stage) {
    double seconds = 0;
    clock.lap(seconds);
    steps.push_back({{"stage", stage}, {"seconds", seconds}});
  };
  try {
    result.trained = train(train_options, hooks, stop);
  } catch (const Error& error) {
    const bool no_labels = error.code() == ErrorCode::kUsage || error.code() == ErrorCode::kFormat ||
                           error.code() == ErrorCode::kUnavailable;
    if (!no_labels) throw;
    if (hooks.note) hooks.note(std::string("no model was made: ") + error.what());
    return;
  }
  step("train");
  nlohmann::json judged;
  if (result.trained->held_for_test > 0) {
    EvaluationOptions evaluation_options;
    evaluation_options.model = train_options.output;
    evaluation_options.data = train_options.data;
    evaluation_options.components_needed = true;
    evaluation_options.seed = train_options.seed;
    evaluation_options.threads = train_options.threads;
    try {
      result.evaluation = evaluate(evaluation_options, hooks, stop);
      judged = to_json(*result.evaluation);
    } catch (const Error& error) {
      // Test photos of other classes, or without a label for one of the targets.
      if (error.code() != ErrorCode::kFormat) throw;
      if (hooks.note)
        hooks.note(std::string("the Test photos cannot judge the model, so validation does: ") +
                   error.what());
    }
  }
  if (judged.is_null()) {
    judged = validation_json(*result.trained, train_options.data, train_options.seed, train_options.threads,
                             hooks, stop);
  }
  step("evaluate");
  judged["steps"] = std::move(steps);
  judged["format_version"] = kDatasetFormat;
  judged["features_digest"] = features_digest(dest);
  dest.write("evaluation.json", judged.dump(2) + "\n");
}

}  // namespace

ReduceOptions reduce_options(const RunOptions& options, const std::string& dest) {
  ReduceOptions reduced;
  reduced.features = uri_below(dest, "features");
  reduced.dest = uri_below(dest, "reduced");
  reduced.pca = options.saved_pca;
  reduced.fit = options.pca;
  reduced.save_pca = uri_below(dest, "pca/pca.bin");
  reduced.format = options.featurize.format;
  reduced.csv_packed = options.featurize.csv_packed;
  if (options.one_csv) reduced.csv = uri_below(dest, "reduced.csv");
  // What depends on the features is made again whenever they are.
  reduced.overwrite = true;
  reduced.threads = options.featurize.threads;
  reduced.invocation = options.featurize.invocation;
  return reduced;
}

void drop_older_model(const std::string& place, bool changed, const Hooks& hooks) {
  const Store dest = Store::open(place);
  if (!changed) {
    if (!dest.exists("evaluation.json")) return;
    const nlohmann::json judged = parse_json(dest.read("evaluation.json"));
    const auto about = judged.is_object() ? judged.find("features_digest") : judged.end();
    if (!judged.is_object() || about == judged.end() || *about == features_digest(dest)) return;
  }
  const auto drop = [&](const char* name, const char* sign) {
    if (!dest.exists(name) || dest.read(name).find(sign) == std::string::npos) return;
    dest.remove(name);
    if (hooks.note) hooks.note(std::string("the older ") + name + " went: it was about other tables");
  };
  drop("report.html", "content=\"Pomona\"");
  drop("model.onnx", "pomona.");
  // Last: it tells a later run that the others are older.
  drop("evaluation.json", "\"confusion\"");
}

void drop_older_reduced(const std::string& place) {
  const Store dest = Store::open(place);
  const Store reduced = dest.at("reduced");
  const DatasetState state = dataset_state(reduced);
  if (state != DatasetState::kFinished && state != DatasetState::kUnfinished) return;
  // The table goes first: without the dataset nobody would know it as its.
  if (dest.exists("reduced.csv")) {
    const auto begin = dest.open_file("reduced.csv")->ReadAt(0, 5);
    if (begin.ok() && (*begin)->ToString() == "path,") dest.remove("reduced.csv");
  }
  remove_dataset(reduced);
  if (reduced.list("").empty()) dest.remove_folder("reduced");
}

void conclude(const RunOptions& options, const std::optional<Network>& network, RunResult& result,
              const Hooks& hooks, std::stop_token stop) {
  if (options.train) train_and_judge(options, network, result, hooks, stop);
  if (options.report) {
    ReportOptions report_options;
    report_options.dest = options.dest;
    report_options.prices = options.prices;
    result.report = write_report(report_options, hooks, stop);
  }
}

RunResult run(const RunOptions& options, const Hooks& hooks, std::stop_token stop) {
  RunResult result;
  const auto held = hold_place(Store::open(options.dest));
  FeaturizeOptions featurize_options = options.featurize;
  featurize_options.dest = uri_below(options.dest, "features");
  featurize_options.moments = !options.features_only && !options.saved_pca;
  result.features = featurize(featurize_options, hooks, stop);
  const bool changed = featurize_options.overwrite || result.features.changed;
  drop_older_model(options.dest, changed, hooks);
  // Before anything of the new ones can fail.
  if (changed) drop_older_reduced(options.dest);
  if (options.features_only || result.features.written == 0) return result;

  ReduceOptions reduce_options = pomona::reduce_options(options, options.dest);
  reduce_options.moments = std::exchange(result.features.moments, {});
  result.reduced = reduce(reduce_options, hooks, stop);
  conclude(options, {}, result, hooks, stop);
  return result;
}

}  // namespace pomona
