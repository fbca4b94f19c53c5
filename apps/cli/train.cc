// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/train.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "classifier_flags.h"
#include "common.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::vector<std::string> sources;
  std::string output = "model.onnx";
  NetworkFlags network;
  ClassifierFlags classifier;
  std::string labels = "folder";
  bool overwrite = false;
  int threads = 0;
};

}  // namespace

void add_classifier_flags(CLI::App& app, ClassifierFlags& flags) {
  app.add_option("--classifier", flags.classifier, "logistic | lda | forest")
      ->capture_default_str()
      ->check(CLI::IsMember({"logistic", "lda", "forest"}))
      ->group("Classifier");
  app.add_flag("--select", flags.select, "Try all three by validation, keep the best")->group("Classifier");
  app.add_option("--on", flags.on, "features | components; default: components for forests, else features")
      ->check(CLI::IsMember({"features", "components"}))
      ->group("Classifier");
  app.add_option("--head-components", flags.components, "Components for heads on components")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Classifier");
  app.add_option("--class-weight", flags.class_weight, "none | balanced")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "balanced"}))
      ->group("Classifier");
  app.add_option("--groups", flags.groups,
                 "Column of the label table, or a pattern on the path: photos that belong together")
      ->group("Classifier");
  app.add_option("--validation", flags.validation, "Share of the training photos held back to judge by")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 0.9))
      ->group("Classifier");
  app.add_option("--folds", flags.folds, "Instead: judge by so many folds")
      ->check(CLI::Range(2, 100))
      ->group("Classifier");
  app.add_option("--target-precision", flags.target_precision, "Of the answers called confident")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 1.0))
      ->group("Classifier");
  app.add_option("--augment", flags.augment, "textures | backgrounds=DIR: also on other backgrounds")
      ->group("Classifier");
  app.add_option("--augment-variants", flags.augment_variants, "Photos made of each")
      ->capture_default_str()
      ->check(CLI::Range(1, 100))
      ->group("Classifier");
  app.add_option("--trees", flags.trees, "Of the forest")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000))
      ->group("Classifier");
  app.add_option("--c", flags.c, "Inverse of logistic's L2 penalty")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Classifier");
  app.add_option("--seed", flags.seed, "Of splits, forests and made photos")
      ->capture_default_str()
      ->group("Classifier");
}

void apply(const ClassifierFlags& flags, TrainingOptions& options) {
  options.classifier = flags.classifier;
  options.select = flags.select;
  if (flags.on) options.on = *flags.on == "components" ? HeadInput::kComponents : HeadInput::kFeatures;
  options.pca.k = flags.components;
  options.balanced = flags.class_weight == "balanced";
  options.data.groups = flags.groups;
  options.validation = flags.validation;
  options.folds = flags.folds;
  options.target_precision = flags.target_precision;
  options.augment = flags.augment;
  options.augment_variants = flags.augment_variants;
  options.trees = flags.trees;
  options.c = flags.c;
  options.seed = flags.seed;
}

void print_trained(const TrainingResult& result) {
  fmt::print("model     {} photos", human_count(result.trained_on));
  if (result.augmented > 0) fmt::print(" and {} made from them", human_count(result.augmented));
  fmt::print(", judged by {}", result.validated_by);
  if (result.held_for_test > 0)
    fmt::print("; {} Test photos not looked at", human_count(result.held_for_test));
  fmt::print("\n");
  if (result.candidates.size() > result.heads.size()) {
    for (const Candidate& candidate : result.candidates) {
      fmt::print("          {} {:<9} on {:<10}  {:6.2f} %  log loss {:.4f}  {:.1f} s\n",
                 candidate.chosen ? "*" : " ", candidate.classifier,
                 candidate.on == HeadInput::kComponents ? "components" : "features",
                 100 * candidate.metrics.accuracy.value, candidate.metrics.log_loss, candidate.seconds);
    }
  }
  for (const HeadReport& head : result.heads) {
    const Share& accuracy = head.validation.accuracy;
    fmt::print("          {}: {} {:.2f} % right (95 %: {:.2f} to {:.2f}), {} classes\n", head.target,
               head.classifier, 100 * accuracy.value, 100 * accuracy.low, 100 * accuracy.high,
               head.counts.size());
    if (head.confident.threshold <= 1) {
      fmt::print("          confident from {:.2f} on: {:.1f} % of photos, {:.2f} % of those right\n",
                 head.confident.threshold, 100 * head.confident.coverage, 100 * head.confident.precision);
    } else {
      fmt::print("          never confident: the precision asked for was not reached\n");
    }
  }
  fmt::print("          {}\n", result.path);
}

void add_train(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("train", "Labelled photos or features -> one model file");
  verb->footer(
      "Examples:\n"
      "  pomona train results/ -o fruit.onnx                 on the features of a run\n"
      "  pomona train photos/ -o fruit.onnx --select         straight on photos\n"
      "  pomona train features/ -o m.onnx --labels table.csv:variety,ripeness\n"
      "  pomona train photos/ -o m.onnx --augment textures   for photos with a background");
  verb->add_option("DATASET", flags->sources, "Dataset, results folder, or photos")->required()->expected(1);
  verb->add_option("-o,--output", flags->output, "The model file")->capture_default_str();
  verb->add_option("--labels", flags->labels,
                   "folder | TABLE[:COLUMN,...]; several columns train several heads")
      ->capture_default_str();
  verb->add_flag("--overwrite", flags->overwrite, "Replace the model file");
  verb->add_option("--threads", flags->threads, "Threads")->check(CLI::Range(1, 4096));
  add_classifier_flags(*verb, flags->classifier);
  add_network_flags(*verb, flags->network);
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      TrainingOptions options;
      apply(flags->classifier, options);
      options.data.source = flags->sources.front();
      options.data.labels = flags->labels;
      options.data.featurize.network = network_options(flags->network);
      options.data.featurize.threads = flags->threads;
      options.output = flags->output;
      options.overwrite = flags->overwrite;
      options.threads = flags->threads;
      options.invocation = invocation(context);
      ProgressDisplay display("train", context.quiet);
      const TrainingResult result = train(options, display.hooks(), context.stop);
      display.finish();
      print_trained(result);
      return kDone;
    };
  });
}

}  // namespace pomona::cli
