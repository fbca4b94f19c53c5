// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/run.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "classifier_flags.h"
#include "common.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/storage/uri_paths.h"
#include "prices.h"
#include "spark.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  PhotoFlags photos;
  NetworkFlags network;
  OutputFlags output;
  ReduceFlags reduce;
  std::vector<std::string> places;  // SOURCE... DEST
  bool one_csv = false;
  bool features_only = false;
  ClassifierFlags classifier;
  EngineFlags engine;
  bool no_model = false;
  bool no_report = false;
};

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("run", "The whole chain: features, PCA, tables, classifier, report");
  verb->footer(
      "Examples:\n"
      "  pomona run photos/ results/ --variance 0.95\n"
      "  pomona run s3://bucket/photos s3://bucket/results -k 100 --model resnet50\n"
      "  pomona run photos/ results/ --recipe mobilenetv2-41\n"
      "  pomona run s3://photos s3://results --engine spark --master spark://host:7077");
  verb->add_option("PLACES", flags->places, "SOURCE [SOURCE...] DEST: folders or URIs; DEST last")
      ->required();
  verb->add_option("--recipe", "Options from a recipe that comes along, or from a file; typed options win")
      ->type_name("TEXT");
  add_photo_flags(*verb, flags->photos);
  add_network_flags(*verb, flags->network);
  add_reduce_flags(*verb, flags->reduce);
  add_output_flags(*verb, flags->output);
  verb->add_flag("--one-csv", flags->one_csv, "Also DEST/reduced.csv with all rows")->group("Output");
  verb->add_flag("--features-only", flags->features_only, "No PCA, no model, no report")->group("Output");
  verb->add_flag("--no-model", flags->no_model, "Train no classifier")->group("Output");
  verb->add_flag("--no-report", flags->no_report, "Write no report.html")->group("Output");
  add_classifier_flags(*verb, flags->classifier);
  add_engine_flags(*verb, flags->engine);
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      RunOptions options;
      options.dest = flags->places.back();
      while (options.dest.size() > 1 && options.dest.back() == '/') options.dest.pop_back();
      flags->photos.sources.assign(flags->places.begin(), flags->places.end() - 1);
      options.featurize =
          featurize_options(flags->photos, flags->network, flags->output, options.dest, context);
      options.pca = pca_options(flags->reduce);
      options.saved_pca = flags->reduce.pca;
      options.one_csv = flags->one_csv;
      options.features_only = flags->features_only;
      options.report = !flags->no_report;
      options.prices = read_prices();
      if (!flags->no_model && flags->output.labels != "none") {
        options.train.emplace();
        apply(flags->classifier, *options.train);
        // The dataset's label column already comes from the table, where there is one; it has room for the
        // first column only.
        const bool several = LabelTable::named_columns(flags->output.labels).size() > 1;
        options.train->data.labels = several ? flags->output.labels : "folder";
      }
      if (flags->engine.spark())
        return run_on_spark(flags->engine, distributed::job_of(options), flags->output.max_reject_rate,
                            context);
      ProgressDisplay display("pomona run", context.quiet);
      const RunResult result = run(options, display.hooks(), context.stop);
      display.finish();
      print_featurized(result.features, uri_below(options.dest, "features"));
      if (result.reduced) print_reduced(*result.reduced, uri_below(options.dest, "reduced"));
      if (result.trained) print_trained(*result.trained);
      if (!result.report.empty()) fmt::print("report    {}\n", result.report);
      if (result.evaluation) print_evaluation(*result.evaluation, false);
      return exit_for_rejects(result.features, flags->output.max_reject_rate,
                              uri_below(options.dest, "features"));
    };
  });
}

}  // namespace pomona::cli
