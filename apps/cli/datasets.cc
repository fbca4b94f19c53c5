// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "command.h"
#include "pomona/base/text.h"
#include "pomona/samples/pull.h"
#include "pomona/samples/turntable.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

void print_made(const TurntableResult& result, const std::string& dest) {
  fmt::print("{}: {} photos of {} fruits and vegetables, {} for training and {} for test, {}{}\n", dest,
             human_count(result.photos), result.classes.size(), human_count(result.training),
             human_count(result.test), human_bytes(result.bytes),
             result.kept > 0 ? "; " + human_count(result.kept) + " were there already" : "");
  fmt::print(
      "Every class is one picture turned around: that shows that the chain runs, not how good it is.\n");
}

void add_make(CLI::App& verb, Action& action) {
  struct Flags {
    std::string set, dest, sizes = "100";
    std::uint64_t count = 3000, seed = 1;
    int threads = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* make = verb.add_subcommand("make", "Make sample photos here, without any download");
  make->add_option("SET", flags->set, "turntable: fruit on a turning shaft")
      ->required()
      ->check(CLI::IsMember({"turntable"}));
  make->add_option("DEST", flags->dest, "A new or empty folder")->required();
  make->add_option("--count", flags->count, "Photos in all")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}));
  make->add_option("--seed", flags->seed, "The same seed gives the same photos")->capture_default_str();
  make->add_option("--sizes", flags->sizes, "100 pixels square, or original: mixed, up to several megapixels")
      ->capture_default_str()
      ->check(CLI::IsMember({"100", "original"}));
  make->add_option("--threads", flags->threads, "0 = all that this process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  make->callback([flags, &action] {
    action = [flags](const Context& context) {
      TurntableOptions options;
      options.count = flags->count;
      options.seed = flags->seed;
      options.sizes = parse_turntable_sizes(flags->sizes);
      options.threads = flags->threads;
      ProgressDisplay display("make photos", context.quiet);
      const TurntableResult result = make_turntable(flags->dest, options, display.hooks(), context.stop);
      display.finish();
      print_made(result, flags->dest);
      return kDone;
    };
  });
}

void print_list() {
  fmt::print("{:<26} {}\n", "turntable",
             "Fruit on a turning shaft, made here from Debian's cut-out photographs");
  fmt::print("{:<26} pomona datasets make turntable DEST\n", "");
  for (const PublicDataset& set : public_datasets()) {
    fmt::print("{:<26} {}\n", set.name, set.description);
    fmt::print("{:<26} {}; {}; {}\n", "", set.page, set.licence, set.cite);
    fmt::print("{:<26} pomona datasets pull {} DEST\n", "", set.name);
  }
}

void add_pull(CLI::App& verb, Action& action) {
  struct Flags {
    std::string set, dest;
    bool keep_archive = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* pull =
      verb.add_subcommand("pull", "Download a public set; goes on where a download ended if the server can");
  pull->add_option("SET", flags->set, "A name of the list")->required();
  pull->add_option("DEST", flags->dest, "A new or empty folder")->required();
  pull->add_flag("--keep-archive", flags->keep_archive, "Leave the archive in the cache");
  pull->callback([flags, &action] {
    action = [flags](const Context& context) {
      const PublicDataset& set = find_dataset(flags->set);
      PullOptions options;
      options.keep_archive = flags->keep_archive;
      ProgressDisplay display("pull " + flags->set, context.quiet);
      const UnpackResult result = pull_dataset(set, flags->dest, options, display.hooks(), context.stop);
      display.finish();
      fmt::print("{}: {} files, {}\nLicence {}; cite {} ({})\n", flags->dest, human_count(result.files),
                 human_bytes(result.bytes), set.licence, set.cite, set.page);
      return kDone;
    };
  });
}

}  // namespace

void add_datasets(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("datasets", "Sample photos: list, make, pull");
  verb->require_subcommand(1);
  verb->footer(
      "Examples:\n"
      "  pomona datasets make turntable photos/\n"
      "  pomona datasets make turntable big/ --count 67692\n"
      "  pomona datasets pull fruits-360 fruits/");
  verb->add_subcommand("list", "What can be made or pulled")->callback([&action] {
    action = [](const Context&) {
      print_list();
      return kDone;
    };
  });
  add_make(*verb, action);
  add_pull(*verb, action);
}

}  // namespace pomona::cli
