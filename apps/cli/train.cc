// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/train.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "classifier_flags.h"
#include "common.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/update.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::vector<std::string> sources;
  std::string output = "model.onnx";
  NetworkFlags network;
  ClassifierFlags classifier;
  std::string labels = "folder";
  std::optional<std::string> update;
  bool overwrite = false;
  bool json = false;
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
  if (result.unlabelled > 0)
    fmt::print("          {} photos have no label: left out\n", human_count(result.unlabelled));
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

namespace {

std::string percent(const Share& share) {
  return fmt::format("{:.2f} %", 100 * share.value);
}

void print_compared(const UpdateResult& result, const std::string& model) {
  fmt::print("compared  on {} held-out photos", human_count(result.held_out));
  if (result.seen_by_old > 0)
    fmt::print(", {} of which the old model was trained on", human_count(result.seen_by_old));
  fmt::print("\n");
  for (const HeadComparison& head : result.heads) {
    fmt::print("          {}: old {}, new {} of {} photos of classes both know{}\n", head.target,
               percent(head.old_accuracy), percent(head.new_accuracy), human_count(head.photos),
               head.by_seen ? " (the old model was trained on them)" : "");
    fmt::print("          only the old right: {}, only the new: {} (p = {:.3f})\n",
               human_count(head.only_old_right), human_count(head.only_new_right), head.p);
    fmt::print("          all {} photos: old {}, new {}\n", human_count(head.all_photos),
               percent(head.old_all), percent(head.new_all));
    if (!head.new_classes.empty()) {
      std::string names;
      for (const std::string& label : head.new_classes) names += (names.empty() ? "" : ", ") + label;
      fmt::print("          new classes: {}", names);
      if (head.new_class_photos > 0)
        fmt::print("; {} of their {} photos right", percent(head.new_class_accuracy),
                   human_count(head.new_class_photos));
      fmt::print("\n");
    }
    if (head.seen_photos > 0 && !head.by_seen) {
      fmt::print(
          "          {} photos that the old model was trained on: old {}, new {} (not below {:.2f} %)\n",
          human_count(head.seen_photos), percent(head.old_seen), percent(head.new_seen),
          100 * head.seen_floor);
    }
  }
  if (!result.replaced) {
    fmt::print("NOT REPLACED: the new model is worse. {} is as it was.\n", model);
  } else if (result.path == model) {
    fmt::print("REPLACED: {} is the new model; it is no worse than the old one.\n", model);
  } else {
    fmt::print("WRITTEN: {} is the new model; it is no worse than {}, which is as it was.\n", result.path,
               model);
  }
}

// Settings that were typed; the others are the old model's.
std::set<std::string> typed_settings(const CLI::App& verb) {
  std::set<std::string> own;
  const auto typed = [&](const char* flag, const char* name) {
    if (verb.count(flag) > 0) own.insert(name);
  };
  typed("--classifier", "classifier");
  typed("--on", "on");
  typed("--head-components", "components");
  typed("--class-weight", "class-weight");
  typed("--trees", "trees");
  typed("--c", "c");
  typed("--seed", "seed");
  typed("--target-precision", "target-precision");
  return own;
}

// What was typed about the network of a dataset, which is otherwise as its record says.
nlohmann::json typed_network(const CLI::App& verb, const NetworkOptions& options) {
  static constexpr std::pair<const char*, const char*> kFlags[] = {
      {"--model", "model"}, {"--preprocess", "preprocess"}, {"--layer", "layer"},
      {"--pool", "pool"},   {"--input-size", "input_size"}, {"--resize", "resize"},
      {"--fit", "fit"}};
  const nlohmann::json all = to_json(options);
  nlohmann::json typed = nlohmann::json::object();
  for (const auto& [flag, key] : kFlags) {
    if (verb.count(flag) > 0) typed[key] = all.at(key);
  }
  return typed;
}

int update(const Flags& flags, const TrainingOptions& training, const CLI::App& verb,
           const Context& context) {
  for (const char* flag :
       {"--model", "--preprocess", "--layer", "--pool", "--input-size", "--resize", "--fit"}) {
    if (verb.count(flag) > 0) {
      throw Error(ErrorCode::kUsage,
                  std::string(flag) + " does not go with --update: the network is the old model's");
    }
  }
  UpdateOptions options;
  options.model = *flags.update;
  options.training = training;
  if (verb.count("--output") == 0) options.training.output = options.model;
  options.own = typed_settings(verb);
  ProgressDisplay display("train", context.quiet);
  const UpdateResult result = update_model(options, display.hooks(), context.stop);
  display.finish();
  if (flags.json) {
    nlohmann::json json = result.entry;
    json["path"] = result.path;
    json["warnings"] = result.trained.warnings;
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    TrainingResult trained = result.trained;
    if (!result.replaced) trained.path = "not written";
    print_trained(trained);
    print_compared(result, options.model);
  }
  return result.replaced ? kDone : kNotReplaced;
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("train", "Labelled photos or features -> one model file");
  verb->footer(
      "Examples:\n"
      "  pomona train results/ -o fruit.onnx                 on the features of a run\n"
      "  pomona train photos/ -o fruit.onnx --select         straight on photos\n"
      "  pomona train features/ -o m.onnx --labels table.csv:variety,ripeness\n"
      "  pomona train photos/ -o m.onnx --augment textures  photos with a background\n"
      "  pomona train --update m.onnx results/ new-photos/ contributions/\n\n"
      "With --update, exit code 4 says that the new model was worse and the old one stays.");
  verb->add_option("SOURCE", flags->sources,
                   "Datasets, results folders, folders of photos or of contributions; one or more")
      ->required();
  verb->add_option("-o,--output", flags->output, "The model file")->capture_default_str();
  verb->add_option("--update", flags->update,
                   "A model file to replace: only by one that is no worse on the same held-out photos");
  verb->add_option("--labels", flags->labels,
                   "folder | TABLE[:COLUMN,...]; several columns train several heads")
      ->capture_default_str();
  verb->add_flag("--overwrite", flags->overwrite, "Replace the model file");
  verb->add_flag("--json", flags->json, "The comparison of --update as JSON")->needs("--update");
  verb->add_option("--threads", flags->threads, "Threads")->check(CLI::Range(1, 4096));
  add_classifier_flags(*verb, flags->classifier);
  add_network_flags(*verb, flags->network);
  verb->callback([flags, verb, &action] {
    action = [flags, verb](const Context& context) {
      TrainingOptions options;
      apply(flags->classifier, options);
      options.data.source = flags->sources.front();
      options.data.further.assign(flags->sources.begin() + 1, flags->sources.end());
      options.data.labels = flags->labels;
      options.data.featurize.network = network_options(flags->network);
      options.data.network_asked = typed_network(*verb, options.data.featurize.network);
      options.data.featurize.threads = flags->threads;
      options.output = flags->output;
      options.overwrite = flags->overwrite;
      options.threads = flags->threads;
      options.invocation = invocation(context);
      if (flags->update) return update(*flags, options, *verb, context);
      ProgressDisplay display("train", context.quiet);
      const TrainingResult result = train(options, display.hooks(), context.stop);
      display.finish();
      print_trained(result);
      return static_cast<int>(kDone);
    };
  });
}

}  // namespace pomona::cli
