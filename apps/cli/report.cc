// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/report.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "command.h"
#include "pomona/report/slides.h"
#include "prices.h"
#include "terminal.h"

namespace pomona::cli {

void add_report(CLI::App& app, Action& action) {
  struct Flags {
    std::string dest;
    std::string title;
    std::optional<std::string> png;
    std::optional<std::string> prices;
    std::uint64_t seed = 1;
    bool no_pictures = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("report", "report.html of a results folder, again");
  verb->footer("Examples:\n  pomona report results/\n  pomona report results/ --png slides/");
  verb->add_option("DEST", flags->dest, "Results folder of run")->required();
  verb->add_option("--title", flags->title, "Default: the folder's name");
  verb->add_option("--png", flags->png, "Also one PNG a section, for slides; needs Chromium");
  verb->add_option("--prices", flags->prices,
                   "Price file; a copy of prices/aws-us-east-1.json with your figures");
  verb->add_option("--seed", flags->seed, "Of the samples shown")->capture_default_str();
  verb->add_flag("--no-pictures", flags->no_pictures, "No thumbnails");
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      ReportOptions options;
      options.dest = flags->dest;
      options.title = flags->title;
      options.seed = flags->seed;
      options.pictures = !flags->no_pictures;
      options.prices = read_prices(flags->prices);
      ProgressDisplay display("report", context.quiet);
      const std::string file = write_report(options, display.hooks(), context.stop);
      display.finish();
      fmt::print("report    {}\n", file);
      if (flags->png) {
        write_slides(file, *flags->png);
        fmt::print("slides    {}\n", *flags->png);
      }
      return kDone;
    };
  });
}

}  // namespace pomona::cli
