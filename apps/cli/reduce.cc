// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/reduce.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "common.h"
#include "spark.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::string features;
  std::string dest;
  std::string format = "parquet";
  ReduceFlags reduce;
  EngineFlags engine;
  std::optional<std::string> save_pca;
  std::optional<std::string> csv;
  bool overwrite = false;
  bool strict = false;
  int threads = 0;
};

}  // namespace

void add_reduce(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("reduce", "Feature vectors -> principal components");
  verb->footer(
      "Examples:\n"
      "  pomona reduce features/ reduced/ --variance 0.95\n"
      "  pomona reduce features/ reduced/ -k 41 --csv reduced.csv\n"
      "  pomona reduce new-features/ new-reduced/ --pca reduced/_pca.bin");
  verb->add_option("FEATURES", flags->features, "Dataset of feature vectors")->required();
  verb->add_option("DEST", flags->dest, "Where the reduced dataset goes")->required();
  add_reduce_flags(*verb, flags->reduce);
  verb->add_option("--save-pca", flags->save_pca, "Where the PCA goes; default DEST/_pca.bin")->group("PCA");
  verb->add_flag("--strict", flags->strict, "Refuse a PCA fitted at another precision")->group("PCA");
  verb->add_option("--format", flags->format, "parquet | csv")->capture_default_str()->group("Output");
  verb->add_option("--csv", flags->csv, "Also one CSV file with all rows")->group("Output");
  verb->add_flag("--overwrite", flags->overwrite, "Replace a finished dataset")->group("Output");
  verb->add_option("--threads", flags->threads, "Worker threads")
      ->check(CLI::Range(1, 4096))
      ->group("Output");
  add_engine_flags(*verb, flags->engine);
  verb->callback([flags, &action] {
    action = [flags](const Context& context) -> int {
      ReduceOptions options;
      options.features = flags->features;
      options.dest = flags->dest;
      options.pca = flags->reduce.pca;
      options.fit = pca_options(flags->reduce);
      options.save_pca = flags->save_pca;
      options.format = parse_format(flags->format);
      options.csv = flags->csv;
      options.overwrite = flags->overwrite;
      options.strict = flags->strict;
      options.threads = flags->threads;
      options.invocation = invocation(context);
      if (flags->engine.spark()) return run_on_spark(flags->engine, distributed::job_of(options), 1, context);
      ProgressDisplay display("reduce", context.quiet);
      const ReduceResult result = reduce(options, display.hooks(), context.stop);
      display.finish();
      print_reduced(result, flags->dest);
      return kDone;
    };
  });
}

}  // namespace pomona::cli
