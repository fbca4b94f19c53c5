// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/evaluate.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "classifier_flags.h"
#include "common.h"
#include "pomona/base/paths.h"
#include "pomona/base/text.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::string model;
  std::string source;
  std::string labels = "folder";
  std::optional<std::string> split;
  std::optional<std::string> save;
  bool json = false;
  bool strict = false;
  int threads = 0;
};

// The pairs of classes that are taken for each other most often.
void print_confusions(const Metrics& metrics) {
  struct Pair {
    std::uint64_t count;
    std::size_t truth, predicted;
  };
  std::vector<Pair> pairs;
  for (std::size_t t = 0; t < metrics.confusion.size(); ++t) {
    for (std::size_t p = 0; p < metrics.confusion.size(); ++p) {
      if (t != p && metrics.confusion[t][p] > 0) pairs.push_back({metrics.confusion[t][p], t, p});
    }
  }
  std::ranges::sort(pairs, std::greater{}, &Pair::count);
  if (pairs.empty()) return;
  fmt::print("\n{:>5}  {:<32} {}\n", "TIMES", "IS", "WAS TAKEN FOR");
  for (std::size_t i = 0; i < std::min<std::size_t>(pairs.size(), 10); ++i) {
    fmt::print("{:>5}  {:<32.32} {:.38}\n", pairs[i].count, metrics.classes[pairs[i].truth].label,
               metrics.classes[pairs[i].predicted].label);
  }
}

}  // namespace

void print_evaluation(const Evaluation& evaluation, bool per_class) {
  for (const TargetEvaluation& target : evaluation.targets) {
    const Metrics& m = target.metrics;
    fmt::print("{:<9} {:.2f} % of {} {} photos right (95 %: {:.2f} to {:.2f})\n", target.target,
               100 * m.accuracy.value, human_count(m.photos), evaluation.split, 100 * m.accuracy.low,
               100 * m.accuracy.high);
    fmt::print("          top 3 {:.2f} %, balanced {:.2f} %, macro F1 {:.4f}, log loss {:.4f}\n",
               100 * m.top3.value, 100 * m.balanced_accuracy, m.macro_f1, m.log_loss);
    const auto line = [&](const char* word, std::uint64_t photos, const std::string& meaning) {
      fmt::print("          {:<9} {:>9} {:5.1f} %  {}\n", word, human_count(photos),
                 100 * static_cast<double>(photos) / static_cast<double>(m.photos), meaning);
    };
    line("confident", target.confident_photos,
         target.confident_photos == 0
             ? "probability at or above the threshold"
             : fmt::format("{:.2f} % of these are right", 100 * target.confident_precision));
    line("unsure", target.unsure_photos, "probability below the threshold");
    line("unknown", target.unknown_photos, "unlike training, so never confident");
    if (target.foreign > 0) {
      fmt::print("          not counted: {} of classes the model does not know, {} unknown\n",
                 human_count(target.foreign), human_count(target.foreign_unknown));
    }
    if (evaluation.unlabelled > 0)
      fmt::print("          not counted: {} without a label\n", human_count(evaluation.unlabelled));
    if (!per_class) continue;
    fmt::print("\n{:<32} {:>9} {:>9} {:>9} {:>8}\n", "CLASS", "PRECISION", "RECALL", "F1", "PHOTOS");
    for (const ClassMetrics& one : m.classes) {
      fmt::print("{:<32.32} {:>9.4f} {:>9.4f} {:>9.4f} {:>8}\n", one.label, one.precision, one.recall, one.f1,
                 human_count(one.support));
    }
    print_confusions(m);
  }
}

void add_evaluate(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("evaluate", "How good a model is on labelled photos or features");
  verb->footer(
      "Examples:\n"
      "  pomona evaluate fruit.onnx results/            the Test photos of a run\n"
      "  pomona evaluate fruit.onnx phone-photos/ --json");
  verb->add_option("MODEL", flags->model, "A model file of pomona train")->required();
  verb->add_option("SOURCE", flags->source, "Photos, a dataset, or a results folder")->required();
  verb->add_option("--labels", flags->labels, "folder | TABLE[:COLUMN,...]")->capture_default_str();
  verb->add_option("--split", flags->split,
                   "Training, Validation, Test or all; default Test where there is one");
  verb->add_flag("--json", flags->json, "As JSON");
  verb->add_option("--save", flags->save, "Also write the JSON to a file");
  verb->add_flag("--strict", flags->strict, "Refuse features of another precision");
  verb->add_option("--threads", flags->threads, "Threads")->check(CLI::Range(1, 4096));
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      EvaluationOptions options;
      options.model = flags->model;
      options.data.source = flags->source;
      options.data.labels = flags->labels;
      options.split = flags->split;
      options.strict = flags->strict;
      options.threads = flags->threads;
      ProgressDisplay display("evaluate", context.quiet);
      const Evaluation evaluation = evaluate(options, display.hooks(), context.stop);
      display.finish();
      const std::string json = to_json(evaluation).dump(2) + "\n";
      if (flags->save) write_file_atomically(*flags->save, json);
      if (flags->json) {
        fmt::print("{}", json);
      } else {
        print_evaluation(evaluation, true);
      }
      return kDone;
    };
  });
}

}  // namespace pomona::cli
