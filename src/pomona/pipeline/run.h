// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "pomona/base/progress.h"
#include "pomona/pipeline/evaluate.h"
#include "pomona/pipeline/featurize.h"
#include "pomona/pipeline/reduce.h"
#include "pomona/pipeline/train.h"

namespace pomona {

struct RunOptions {
  std::string dest;            // features/, reduced/, pca/ go below it
  FeaturizeOptions featurize;  // its dest is set here
  PcaOptions pca{.k = {}, .variance = 0.95, .center = true};
  std::optional<std::string> saved_pca;       // apply this PCA instead of fitting one
  bool one_csv = false;                       // also DEST/reduced.csv
  bool features_only = false;                 // no PCA, no model, no report
  std::optional<TrainingOptions> train = {};  // its source and output are set here; none = no model
  bool report = true;                         // DEST/report.html
  nlohmann::json prices;                      // for the bill in the report; see prices/; null = none
};

struct RunResult {
  FeaturizeResult features;
  std::optional<ReduceResult> reduced;
  std::optional<TrainingResult> trained;  // where photos have labels of two classes or more
  std::optional<Evaluation> evaluation;   // where there is a Test split
  std::string report;                     // the file; empty where none was asked for
};

// The whole chain: photos -> DEST/features -> DEST/pca/pca.bin and DEST/reduced -> DEST/model.onnx and
// DEST/evaluation.json where there are labels -> DEST/report.html. The PCA comes from the moments that
// featurizing kept: the photos are passed over once. Throws Error as
// featurize() and reduce() do; what was finished before stays and --resume goes on from it.
RunResult run(const RunOptions& options, const Hooks& hooks, std::stop_token stop = {});

// What run() is made of, for jobs that run on several machines.

// How run() reduces; `dest` is the results folder.
ReduceOptions reduce_options(const RunOptions& options, const std::string& dest);
// Takes away a model, figures and report of earlier tables: they must not stand beside DEST/features as it is
// now. `changed`: its rows are new; else they go where evaluation.json says that it is about others, as where
// a run was killed in between. What is not ours stays.
void drop_older_model(const std::string& dest, bool changed, const Hooks& hooks);
// Takes away DEST/reduced and its one table: components of features that are gone. What is not ours stays.
void drop_older_reduced(const std::string& dest);
// The end of the chain, from the tables on: model, evaluation, report, as `options` asks. With `network`,
// that one is used in place of the one the tables' record names.
void conclude(const RunOptions& options, const std::optional<Network>& network, RunResult& result,
              const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
