// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/cluster.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>

#include "command.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  ClusterOptions options;
  std::string k = "auto";
  bool json = false;
};

std::optional<int> parse_k(const std::string& text) {
  if (text == "auto") return std::nullopt;
  int k = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), k);
  if (error != std::errc() || end != text.data() + text.size() || k < 1)
    throw Error(ErrorCode::kUsage, "-k takes a number of clusters or auto, not '" + text + "'");
  return k;
}

std::string shortened(const std::string& path, std::size_t room) {
  return path.size() > room ? "..." + path.substr(path.size() - room + 3) : path;
}

void print_clusters(const ClusterResult& result, bool chosen) {
  fmt::print("photos    {} of {}, {} components{}\n", human_count(result.photos), result.source,
             result.components, result.reduced_here ? " (PCA of its features, fitted here)" : "");
  fmt::print("clusters  {}{}\n", result.kmeans.k, chosen ? ", chosen by the largest mean silhouette" : "");
  if (result.purity) {
    fmt::print("labels    {} photos: purity {:.1f} %, adjusted Rand {:.3f}, normalized information {:.3f}\n",
               human_count(result.labelled), 100 * *result.purity, *result.adjusted_rand,
               *result.normalized_information);
  }
  fmt::print("\n{:>7} {:>8}  {:<28} {}\n", "CLUSTER", "PHOTOS", result.purity ? "MOSTLY" : "",
             "NEAREST TO THE CENTRE");
  for (std::size_t c = 0; c < result.clusters.size(); ++c) {
    const ClusterSummary& one = result.clusters[c];
    const std::string mostly =
        one.label ? fmt::format("{:.20} {:.0f} %", *one.label, 100 * one.label_share) : "";
    fmt::print("{:>7} {:>8}  {:<28} {}\n", c, human_count(one.photos), mostly,
               one.nearest.empty() ? "" : shortened(one.nearest[0].path, 50));
    for (std::size_t i = 1; i < one.nearest.size(); ++i)
      fmt::print("{:>46}{}\n", "", shortened(one.nearest[i].path, 50));
  }
}

}  // namespace

void add_cluster(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("cluster", "Groups of photos that look alike, without labels");
  verb->footer(
      "k-means on components; labels, where there are any, only judge the result.\n"
      "Examples:\n"
      "  pomona cluster results/\n"
      "  pomona cluster results/ -k 12 -o clusters.parquet");
  verb->add_option("DATASET", flags->options.dataset,
                   "Components or features, or a results folder of `pomona run`")
      ->required();
  verb->add_option("-k", flags->k, "How many clusters, or auto")->capture_default_str();
  verb->add_option("--most", flags->options.k_max, "With auto, at most so many")
      ->capture_default_str()
      ->check(CLI::Range(2, 1000));
  verb->add_option("-o,--output", flags->options.output, "A .csv or .parquet with path and cluster");
  verb->add_flag("--overwrite", flags->options.overwrite, "Replace that file");
  verb->add_option("-n,--nearest", flags->options.nearest, "Photos to name for each cluster")
      ->capture_default_str()
      ->check(CLI::Range(0, 10000));
  verb->add_option("--seed", flags->options.seed, "Of what is drawn")->capture_default_str();
  verb->add_flag("--json", flags->json, "As JSON");
  verb->add_option("--threads", flags->options.threads, "Threads")->check(CLI::Range(1, 4096));
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      flags->options.k = parse_k(flags->k);
      ProgressDisplay display("cluster", context.quiet);
      const ClusterResult result = cluster_photos(flags->options, display.hooks(), context.stop);
      display.finish();
      if (flags->json) {
        fmt::print("{}\n", to_json(result).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
      } else {
        print_clusters(result, !flags->options.k);
        if (!flags->options.output.empty()) fmt::print("\ntable     {}\n", flags->options.output);
      }
      return kDone;
    };
  });
}

}  // namespace pomona::cli
