// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/check.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "command.h"
#include "pomona/base/text.h"
#include "terminal.h"

namespace pomona::cli {

void add_check(CLI::App& app, Action& action) {
  struct Flags {
    std::string dest;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("check", "Inventory of a dataset: parts, rows, rejects, damage");
  verb->footer("Examples:\n  pomona check results/\n  pomona check s3://bucket/features --json");
  verb->add_option("DEST", flags->dest, "A dataset (also of predict), or a results folder of run")
      ->required();
  verb->add_flag("--json", flags->json, "As JSON");
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      ProgressDisplay display("check", context.quiet);
      const auto checks = check_datasets(flags->dest, display.hooks());
      display.finish();
      bool sound = true;
      nlohmann::json all = nlohmann::json::array();
      for (const DatasetCheck& check : checks) {
        sound = sound && check.sound();
        all.push_back(to_json(check));
        if (flags->json) continue;
        fmt::print("{}\n", check.place);
        const bool answers = check.kind == "predictions";
        fmt::print("  {:<12} {}{}\n", "state", check.state,
                   check.state == "finished" ? " (_SUCCESS is there)"
                   : answers                 ? " (no _SUCCESS: predict with --overwrite makes it anew)"
                                             : " (no _SUCCESS: --resume goes on with it)");
        fmt::print("  {:<12} {} rows{} in {} {}, {}\n",
                   answers || check.kind == "components" ? check.kind : "features", human_count(check.rows),
                   answers ? "" : " x " + human_count(static_cast<std::uint64_t>(check.d)),
                   human_count(check.parts), check.parts == 1 ? "part" : "parts", human_bytes(check.bytes));
        fmt::print("  {:<12} {}\n", "rejected", human_count(check.rejected));
        if (!check.identity_hash.empty()) {
          fmt::print("  {:<12} {} at {}\n", "fingerprint", check.identity_hash.substr(0, 16),
                     check.precision);
        }
        if (check.damage.empty()) fmt::print("  {:<12} none found; every part was read\n", "damage");
        for (const std::string& damage : check.damage) fmt::print("  {:<12} {}\n", "damage", damage);
      }
      if (flags->json) fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
      return sound ? kDone : kFailed;
    };
  });
}

}  // namespace pomona::cli
