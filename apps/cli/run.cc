// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/run.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "common.h"
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
};

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("run", "The whole chain: photos -> features -> PCA -> reduced table");
  verb->footer(
      "Examples:\n"
      "  pomona run photos/ results/ --variance 0.95\n"
      "  pomona run s3://bucket/photos s3://bucket/results -k 100 --model resnet50\n"
      "  pomona run photos/ results/ --recipe mobilenetv2-41");
  verb->add_option("PLACES", flags->places, "SOURCE [SOURCE...] DEST: folders or URIs; DEST last")
      ->required();
  verb->add_option("--recipe", "Options from a recipe that comes along, or from a file; typed options win");
  add_photo_flags(*verb, flags->photos);
  add_network_flags(*verb, flags->network);
  add_reduce_flags(*verb, flags->reduce);
  add_output_flags(*verb, flags->output);
  verb->add_flag("--one-csv", flags->one_csv, "Also DEST/reduced.csv with all rows")->group("Output");
  verb->add_flag("--features-only", flags->features_only, "No PCA")->group("Output");
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
      ProgressDisplay display("pomona run", context.quiet);
      const RunResult result = run(options, display.hooks(), context.stop);
      display.finish();
      print_featurized(result.features, options.dest + "/features");
      if (result.reduced) print_reduced(*result.reduced, options.dest + "/reduced");
      return exit_for_rejects(result.features, flags->output.max_reject_rate, options.dest + "/features");
    };
  });
}

}  // namespace pomona::cli
