// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/similar.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  SimilarOptions options;
  bool as_json = false;
};

void print_table(const SimilarResult& result) {
  fmt::print("{}\n", result.photo);
  if (result.rejected) {
    fmt::print("  rejected: {}\n", *result.rejected);
    return;
  }
  for (const SimilarPhoto& photo : result.nearest) {
    const std::string path =
        photo.path.size() > 44 ? "..." + photo.path.substr(photo.path.size() - 41) : photo.path;
    fmt::print("  {:.4f}  {:<44}  {}\n", photo.similarity, path, photo.label.value_or(""));
  }
}

void print_json(const SimilarResult& result) {
  nlohmann::json line = {{"photo", result.photo}};
  if (result.rejected) {
    line["rejected"] = *result.rejected;
  } else {
    line["nearest"] = nlohmann::json::array();
    for (const SimilarPhoto& photo : result.nearest) {
      nlohmann::json one = {{"path", photo.path}, {"similarity", photo.similarity}};
      if (photo.label) one["label"] = *photo.label;
      line["nearest"].push_back(std::move(one));
    }
  }
  fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

void add_similar(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("similar", "The photos of a dataset nearest to others");
  verb->footer(
      "By cosine of the features, every photo compared.\n"
      "Examples:\n"
      "  pomona similar results/features photo.jpg -n 12\n"
      "  pomona similar results/ a.jpg b.jpg --json");
  verb->add_option("DATASET", flags->options.dataset,
                   "Features of photos, or a results folder of `pomona run`")
      ->required();
  verb->add_option("PHOTO", flags->options.photos, "Photos to look for")->required();
  verb->add_option("-n", flags->options.n, "How many")->capture_default_str()->check(CLI::Range(1, 100000));
  verb->add_option("--model", flags->options.model, "Network or model file; default: the one of the dataset");
  verb->add_flag("--json", flags->as_json, "JSON lines on a terminal too");
  verb->add_flag("--strict", flags->options.strict, "Refuse another precision than the dataset's");
  verb->add_option("--threads", flags->options.threads, "Worker threads")->check(CLI::Range(1, 4096));
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      ProgressDisplay display("similar", context.quiet);
      const auto results = find_similar(flags->options, display.hooks(), context.stop);
      display.finish();
      bool rejected = false;
      for (const SimilarResult& result : results) {
        flags->as_json || isatty(STDOUT_FILENO) == 0 ? print_json(result) : print_table(result);
        rejected = rejected || result.rejected.has_value();
      }
      return rejected ? kTooManyRejects : kDone;
    };
  });
}

}  // namespace pomona::cli
