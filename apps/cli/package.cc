// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "command.h"
#include "python_program.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::string target;
  std::string output;
  std::string wheel;
  std::string python;
  bool dry_run = false;
};

int run_package(const Flags& flags, const Context& context) {
  std::vector<std::string> words = {"--target=" + flags.target};
  if (!flags.output.empty()) words.push_back("--output=" + flags.output);
  if (!flags.wheel.empty()) words.push_back("--wheel=" + flags.wheel);
  if (!flags.python.empty()) words.push_back("--python=" + flags.python);
  if (flags.dry_run) words.push_back("--dry-run");
  return run_python("pomona._package", words, context.stop);
}

}  // namespace

void add_package(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand(
      "package", "Pack what brings Pomona onto a Spark cluster: EMR, Dataproc, Databricks, one of your own");
  verb->add_option("--target", flags->target, "emr | dataproc | databricks | archive: any other cluster")
      ->required()
      ->check(CLI::IsMember({"emr", "dataproc", "databricks", "archive"}));
  verb->add_option("-o,--output", flags->output,
                   "File to write; default pomona-env.tar.gz, for databricks pomona-databricks.zip");
  verb->add_option("--wheel", flags->wheel, "Wheel of pomona to pack; default: the installed package")
      ->check(CLI::ExistingFile);
  verb->add_option("--python", flags->python,
                   "Where the cluster's machines have Python; default: emr, dataproc /usr/bin/python3.11, "
                   "archive where this machine has it");
  verb->add_flag("--dry-run", flags->dry_run, "Say what goes in, write nothing");
  verb->footer(
      "Examples:\n  pomona package --target emr -o pomona-env.tar.gz\n"
      "  pomona package --target archive --python /usr/bin/python3.11 --dry-run");
  verb->callback([flags, &action] {
    action = [flags](const Context& context) { return run_package(*flags, context); };
  });
}

}  // namespace pomona::cli
