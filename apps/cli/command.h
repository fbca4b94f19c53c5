// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "pomona/base/progress.h"

namespace CLI {
class App;
}

namespace pomona::cli {

// Exit codes of the command.
enum Exit : int { kDone = 0, kFailed = 1, kWrongUse = 2, kTooManyRejects = 3, kNotReplaced = 4 };

// What a verb gets to work with.
struct Context {
  std::stop_token stop;                // set by the first Ctrl-C
  std::vector<std::string> arguments;  // as typed, for the run record
  bool quiet = false;                  // --quiet: no progress
};

// A verb adds its subcommand to `app`; parsing it leaves what to do in `action`, which returns an exit code.
using Action = std::function<int(const Context&)>;
using AddVerb = void (*)(CLI::App& app, Action& action);

// Parses, runs, turns errors into one sentence on stderr and an exit code.
int run_command(int argc, char** argv, const std::vector<AddVerb>& verbs);

void add_run(CLI::App& app, Action& action);
void add_featurize(CLI::App& app, Action& action);
void add_reduce(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_evaluate(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_models(CLI::App& app, Action& action);
void add_datasets(CLI::App& app, Action& action);
void add_estimate(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_predict(CLI::App& app, Action& action);
void add_cluster(CLI::App& app, Action& action);
void add_package(CLI::App& app, Action& action);
void add_similar(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_tokens(CLI::App& app, Action& action);
void add_contributions(CLI::App& app, Action& action);
void add_purge(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);

}  // namespace pomona::cli
