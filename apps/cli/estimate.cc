// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/estimate.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "common.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/bill.h"
#include "prices.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  PhotoFlags photos;
  NetworkFlags network;
  std::uint64_t sample = 256;
  int threads = 0;
  std::optional<std::string> prices;
  bool json = false;
};

void print_bill(const nlohmann::json& bill, std::uint64_t photos) {
  if (!bill.is_object()) return;
  const std::string currency = bill.value("currency", "");
  const auto amount = [&](const char* key) { return money(bill.value(key, 0.0), currency); };
  fmt::print("bill       {} of {}, prices as of {} (--prices FILE for yours)\n",
             human_seconds(3600 * bill.value("machine_hours", 0.0)), bill.value("machine", ""),
             bill.value("as_of", ""));
  fmt::print("           {:>16} on demand, {} spot, {} reserved\n", amount("compute_on_demand"),
             amount("compute_spot"), amount("compute_reserved"));
  if (photos > 0) {
    fmt::print("           {:>16} on demand for a million photos\n",
               money(bill.value("compute_on_demand", 0.0) / static_cast<double>(photos) * 1e6, currency));
  }
  fmt::print("           {:>16} more on a managed cluster\n", amount("managed_cluster"));
  fmt::print("           {:>16} requests\n", amount("requests"));
  for (const auto& [name, cost] : bill["storage"].items()) {
    fmt::print("           {:>16} a month for the features, {} for the photos ({})\n",
               money(cost.value("features_month", 0.0), currency),
               money(cost.value("photos_month", 0.0), currency), name);
  }
}

}  // namespace

void add_estimate(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("estimate", "Rate, time, memory, output and bill, from a sample");
  verb->footer(
      "Examples:\n"
      "  pomona estimate s3://bucket/photos\n"
      "  pomona estimate photos/ --model resnet50 --sample 500 --prices ours.json");
  verb->add_option("SOURCE", flags->photos.sources, "Folders or URIs");
  add_photo_flags(*verb, flags->photos);
  add_network_flags(*verb, flags->network);
  verb->add_option("--sample", flags->sample, "Photos to compute")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb->add_option("--threads", flags->threads, "Worker threads")->check(CLI::Range(1, 4096));
  verb->add_option("--prices", flags->prices,
                   "Price file; a copy of prices/aws-us-east-1.json with your figures");
  verb->add_flag("--json", flags->json, "As JSON");
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      EstimateOptions options;
      options.featurize.listing = listing_options(flags->photos);
      options.featurize.network = network_options(flags->network);
      options.featurize.threads = flags->threads;
      options.sample = flags->sample;
      options.prices = read_prices(flags->prices);
      ProgressDisplay display("sample", context.quiet);
      const Estimate e = estimate(options, display.hooks(), context.stop);
      display.finish();
      if (flags->json) {
        fmt::print("{}\n", to_json(e).dump(2));
        return kDone;
      }
      fmt::print("photos     {}{}, {}\n", e.listed_all ? "" : "at least ", human_count(e.photos),
                 human_bytes(static_cast<std::uint64_t>(e.source_bytes)));
      fmt::print("sample     {} computed, {} rejected\n", human_count(e.sampled),
                 human_count(e.sample_rejected));
      fmt::print("rate       {:.0f} photos/s on {} threads; slowest stage: {}\n", e.photos_per_second,
                 e.threads, e.slowest_stage);
      fmt::print("per photo ");
      for (const auto& [stage, ms] : e.stage_ms) {
        if (ms >= 0.005) fmt::print(" {} {:.2f}", stage, ms);
      }
      fmt::print(" ms\n");
      fmt::print("time       {}\n", human_seconds(e.seconds));
      fmt::print("memory     {}, however many photos there are\n", human_bytes(e.memory_bytes));
      fmt::print("output     {} as Parquet, {} numbers a photo\n",
                 human_bytes(static_cast<std::uint64_t>(e.output_bytes)), e.dimension);
      print_bill(e.bill, e.photos);
      return kDone;
    };
  });
}

}  // namespace pomona::cli
