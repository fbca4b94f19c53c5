// SPDX-License-Identifier: Apache-2.0
#include "quantize.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "common.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/quantize.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  PhotoFlags photos;
  NetworkFlags network;
  std::string name;
  int calibrate = 64;
  int compare = 192;
};

void print(const QuantizeResult& result) {
  fmt::print("{}\n{} of {} convolutions in 8-bit integers, ranges chosen by {} photos\n", result.name,
             result.quantized, result.convolutions, human_count(result.calibrated));
  fmt::print("\non {} other photos of the sample ({} could not be read):\n\n", human_count(result.compared),
             human_count(result.rejected));
  fmt::print("  {:<14} {:>9} {:>14} {:>8}\n", "", "photos/s", "cosine: least", "median");
  for (const PrecisionFigures& way : result.figures) {
    fmt::print("  {:<14} {:>9.0f} {:>14.4f} {:>8.4f}\n", way.name, way.photos_per_second, way.least_cosine,
               way.median_cosine);
  }
  fmt::print(
      "\nphotos/s: inference alone; cosine: of its vectors to those in f32. What it\n"
      "does to the answers is for `pomona run` and `pomona evaluate` to say.\n\n"
      "From now on:  --model {}\n"
      "the closer:   --model {} --precision f32\n\n{}\n",
      result.name, result.name, result.file.string());
}

}  // namespace

void add_quantize(CLI::App& models, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = models.add_subcommand(
      "quantize", "Make a network compute in 8-bit integers: faster, most where the CPU has VNNI");
  verb->footer(
      "Example:\n"
      "  pomona models quantize efficientnet-lite0 photos/\n"
      "  pomona run photos/ results/ --model efficientnet-lite0-int8");
  verb->add_option("NETWORK", flags->network.model, "A name of the list, or an .onnx file")->required();
  verb->add_option("PHOTOS", flags->photos.sources, "Photos of the kind it will see: folders or URIs")
      ->required();
  verb->add_option("--name", flags->name, "Its name from now on; else NETWORK with -int8");
  verb->add_option("--preprocess", flags->network.preprocess,
                   "Of a file: tf | caffe | torch | lite | SPEC.json");
  verb->add_option("--layer", flags->network.layer, "penultimate, or the name of a tensor")
      ->capture_default_str();
  verb->add_option("--input-size", flags->network.input_size,
                   "Pixels, both sides; the ranges hold for this size")
      ->check(CLI::Range(1, 8192));
  verb->add_option("--calibrate", flags->calibrate, "Photos to choose the ranges by")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  verb->add_option("--compare", flags->compare, "Other photos to measure on")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  verb->callback([flags, &action] {
    action = [flags](const Context& context) {
      QuantizeOptions options;
      options.network = network_options(flags->network);
      options.listing = listing_options(flags->photos);
      options.name = flags->name;
      options.calibrate = flags->calibrate;
      options.compare = flags->compare;
      ProgressDisplay display("quantize", context.quiet);
      const QuantizeResult result = quantize(options, display.hooks(), context.stop);
      display.finish();
      if (result.file.empty()) throw Error(ErrorCode::kCancelled, "stopped; nothing was kept");
      print(result);
      return kDone;
    };
  });
}

}  // namespace pomona::cli
