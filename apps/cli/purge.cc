// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/purge.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "command.h"
#include "pomona/base/text.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

constexpr std::size_t kMostPhotosShown = 20;

void print_item(const PurgeItem& item, bool yes) {
  std::string about = human_bytes(item.bytes);
  if (item.what == "dataset") {
    about = (item.kind.empty() ? "" : item.kind + ", ") + human_count(item.rows) + " rows, " + about + ", " +
            item.state;
  } else if (item.what == "contributions") {
    about = human_count(item.rows) + " photos, " + about;
  }
  const char* verdict = !yes ? "would go" : item.removed ? "removed" : "FAILED";
  fmt::print("{:<8}  {:<7}  {}  ({}, of {})\n", verdict, item.what, escape_path(item.place), about,
             item.date);
}

void print_result(const PurgeResult& result, const PurgeOptions& options, const std::string& age) {
  std::size_t shown = 0, removed = 0;
  for (const PurgeItem& item : result.items) {
    removed += item.removed ? 1 : 0;
    if (!options.photos || ++shown <= kMostPhotosShown || !item.failure.empty())
      print_item(item, options.yes);
  }
  if (options.photos && shown > kMostPhotosShown)
    fmt::print("          and {} more\n", human_count(shown - kMostPhotosShown));
  const char* thing = options.photos ? "photo" : "dataset";
  if (result.items.empty()) fmt::print("Nothing is older than {}.\n", age);
  if (result.kept > 0) fmt::print("{} left.\n", counted(result.kept, thing));
  if (result.items.empty()) return;
  if (options.yes) {
    fmt::print("{} of {} removed, {}; the log is {}\n", human_count(removed),
               human_count(result.items.size()), human_bytes(result.bytes), escape_path(options.log));
  } else {
    fmt::print("{} in all. This was a dry run: nothing was removed. --yes removes it.\n",
               human_bytes(result.bytes));
  }
}

}  // namespace

void add_purge(CLI::App& app, Action& action) {
  struct Flags {
    std::string dest, age = "14d", log = "pomona-purge.jsonl";
    bool photos = false, yes = false, json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* verb =
      app.add_subcommand("purge", "Remove datasets, contributions or photos that have been kept long enough");
  verb->footer(
      "Without --yes nothing is removed. Models, reports and PCAs go with the datasets beside them.\n\n"
      "Examples:\n"
      "  pomona purge results/\n"
      "  pomona purge s3://bucket/runs --older-than 2w --yes --log purge.jsonl\n"
      "  pomona purge contributions/ --older-than 14d --yes\n"
      "  pomona purge october/ --photos --older-than 14d --yes");
  verb->add_option(
          "DEST", flags->dest,
          "A dataset, a results folder, contributions, or a folder above them; of photos with --photos")
      ->required();
  verb->add_option("--older-than", flags->age, "A number with s, m, h, d or w")->capture_default_str();
  verb->add_flag("--photos", flags->photos, "Photo files instead of datasets");
  verb->add_flag("--yes", flags->yes, "Remove, and write the log");
  verb->add_option("--log", flags->log, "One JSON line for everything removed")->capture_default_str();
  verb->add_flag("--json", flags->json, "As JSON");
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      PurgeOptions options;
      options.dest = flags->dest;
      options.older_than = parse_age(flags->age);
      options.photos = flags->photos;
      options.yes = flags->yes;
      options.log = flags->log;
      ProgressDisplay display("purge", context.quiet);
      const PurgeResult result = purge(options, display.hooks(), context.stop);
      display.finish();
      if (flags->json) {
        nlohmann::json items = nlohmann::json::array();
        for (const PurgeItem& item : result.items) items.push_back(to_json(item));
        fmt::print(
            "{}\n",
            nlohmann::json(
                {{"items", items}, {"kept", result.kept}, {"bytes", result.bytes}, {"dry_run", !options.yes}})
                .dump(2));
      } else {
        print_result(result, options, flags->age);
      }
      for (const PurgeItem& item : result.items) {
        if (!item.failure.empty()) return kFailed;
      }
      return kDone;
    };
  });
}

}  // namespace pomona::cli
