// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/featurize.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "common.h"
#include "spark.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  PhotoFlags photos;
  NetworkFlags network;
  OutputFlags output;
  EngineFlags engine;
  std::vector<std::string> places;  // SOURCE... DEST
};

}  // namespace

void add_featurize(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("featurize", "Photos -> feature vectors (Parquet or CSV)");
  verb->footer(
      "Examples:\n"
      "  pomona featurize photos/ features/\n"
      "  pomona featurize s3://bucket/2026/ s3://bucket/features/ --model mobilenetv2\n"
      "  find . -name '*.jpg' -print0 | pomona featurize --paths-from - features/");
  verb->add_option("PLACES", flags->places, "SOURCE [SOURCE...] DEST: folders or URIs; DEST last")
      ->required();
  add_photo_flags(*verb, flags->photos);
  add_network_flags(*verb, flags->network);
  add_output_flags(*verb, flags->output);
  add_engine_flags(*verb, flags->engine);
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      const std::string dest = flags->places.back();
      flags->photos.sources.assign(flags->places.begin(), flags->places.end() - 1);
      const FeaturizeOptions options =
          featurize_options(flags->photos, flags->network, flags->output, dest, context);
      if (flags->engine.spark())
        return run_on_spark(flags->engine, distributed::job_of(options), flags->output.max_reject_rate,
                            context);
      ProgressDisplay display("featurize", context.quiet);
      const FeaturizeResult result = featurize(options, display.hooks(), context.stop);
      display.finish();
      print_featurized(result, dest);
      return exit_for_rejects(result, flags->output.max_reject_rate, dest);
    };
  });
}

}  // namespace pomona::cli
