// SPDX-License-Identifier: Apache-2.0
// The command `pomona`: one verb per file, all of them listed here.
#include "command.h"

int main(int argc, char** argv) {
  return pomona::cli::run_command(
      argc, argv,
      {
          pomona::cli::add_run,      pomona::cli::add_featurize, pomona::cli::add_reduce,
          pomona::cli::add_train,    pomona::cli::add_evaluate,  pomona::cli::add_predict,
          pomona::cli::add_export,   pomona::cli::add_similar,   pomona::cli::add_cluster,
          pomona::cli::add_package,  pomona::cli::add_serve,     pomona::cli::add_tokens,
          pomona::cli::add_report,   pomona::cli::add_models,    pomona::cli::add_datasets,
          pomona::cli::add_estimate, pomona::cli::add_check,     pomona::cli::add_contributions,
          pomona::cli::add_purge,    pomona::cli::add_doctor,
      });
}
