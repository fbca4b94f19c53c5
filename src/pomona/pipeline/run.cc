// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/run.h"

#include <utility>

namespace pomona {

RunResult run(const RunOptions& options, const Hooks& hooks, std::stop_token stop) {
  RunResult result;
  FeaturizeOptions featurize_options = options.featurize;
  featurize_options.dest = options.dest + "/features";
  featurize_options.moments = !options.features_only && !options.saved_pca;
  result.features = featurize(featurize_options, hooks, stop);
  if (options.features_only || result.features.written == 0) return result;

  ReduceOptions reduce_options;
  reduce_options.features = featurize_options.dest;
  reduce_options.dest = options.dest + "/reduced";
  reduce_options.pca = options.saved_pca;
  reduce_options.fit = options.pca;
  reduce_options.save_pca = options.dest + "/pca/pca.bin";
  reduce_options.format = featurize_options.format;
  reduce_options.csv_packed = featurize_options.csv_packed;
  if (options.one_csv) reduce_options.csv = options.dest + "/reduced.csv";
  // What depends on the features is made again whenever they are.
  reduce_options.overwrite = true;
  reduce_options.threads = featurize_options.threads;
  reduce_options.moments = std::exchange(result.features.moments, {});
  reduce_options.invocation = featurize_options.invocation;
  result.reduced = reduce(reduce_options, hooks, stop);
  return result;
}

}  // namespace pomona
