// SPDX-License-Identifier: Apache-2.0
#include "common.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/storage/uri_paths.h"
#include "terminal.h"

namespace pomona::cli {

void add_photo_flags(CLI::App& app, PhotoFlags& flags) {
  app.add_option("--glob", flags.glob, "Only file names that match, for example '*.jpg'")->group("Photos");
  app.add_option("--paths-from", flags.paths_from,
                 "Read paths from a file, one a line or NUL-separated; - is stdin")
      ->group("Photos");
  app.add_option("--limit", flags.limit, "Only the first N photos")
      ->check(CLI::PositiveNumber)
      ->group("Photos");
}

void add_network_flags(CLI::App& app, NetworkFlags& flags) {
  app.add_option("--model", flags.model,
                 "Network: a name (pomona models list) or a .onnx, .xml, .tflite or SavedModel path")
      ->capture_default_str()
      ->group("Network");
  app.add_option("--preprocess", flags.preprocess,
                 "tf | caffe | torch | lite | SPEC.json; needed for a bare path")
      ->group("Network");
  app.add_option("--layer", flags.layer, "penultimate, or the name of a tensor")
      ->capture_default_str()
      ->group("Network");
  app.add_option("--pool", flags.pool, "auto | avg | max | none")->capture_default_str()->group("Network");
  app.add_option("--input-size", flags.input_size, "Pixels, both sides; default: the network's own")
      ->group("Network");
  app.add_option("--precision", flags.precision, "auto | f32 | bf16 | int8 (a quantized network in integers)")
      ->capture_default_str()
      ->group("Network");
  app.add_option("--resize", flags.resize, "bicubic | bilinear | nearest")->group("Network");
  app.add_option("--fit", flags.fit, "squash | crop | pad")->group("Network");
  app.add_option("--jpeg-scale", flags.jpeg_scale, "auto | off: decode large JPEGs at 1/2, 1/4, 1/8")
      ->capture_default_str()
      ->group("Network");
  app.add_flag("--no-exif", flags.no_exif, "Do not turn photos as their EXIF tag says")->group("Network");
  app.add_option("--batch", flags.batch, "Photos per inference; default: by the input size")
      ->check(CLI::Range(1, 256))
      ->group("Network");
}

void add_output_flags(CLI::App& app, OutputFlags& flags) {
  app.add_option("--format", flags.format, "parquet | csv")->capture_default_str()->group("Output");
  app.add_option("--csv-layout", flags.csv_layout, "wide (f0,f1,...) | packed (one features column)")
      ->capture_default_str()
      ->check(CLI::IsMember({"wide", "packed"}))
      ->group("Output");
  app.add_option("--labels", flags.labels, "folder | none | TABLE[:COLUMN]")
      ->capture_default_str()
      ->group("Output");
  app.add_option("--rows-per-file", flags.rows_per_file, "Photos per part")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Output");
  app.add_option("--bytes-per-file", flags.bytes_per_file,
                 "Instead: about so much per part, for example 128MB")
      ->group("Output");
  app.add_flag("--resume", flags.resume, "Go on where a run ended, or add what is new")->group("Output");
  app.add_flag("--overwrite", flags.overwrite, "Replace what a finished run left")->group("Output");
  app.add_option("--max-reject-rate", flags.max_reject_rate, "Exit with 3 above this share of rejects")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group("Output");
  app.add_option("--threads", flags.threads, "Worker threads; default: what the machine or container allows")
      ->check(CLI::Range(1, 4096))
      ->group("Output");
}

void add_reduce_flags(CLI::App& app, ReduceFlags& flags) {
  auto* k = app.add_option("-k,--components", flags.components, "Number of principal components")
                ->check(CLI::PositiveNumber)
                ->group("PCA");
  app.add_option("--variance", flags.variance, "As many components as explain this share; default 0.95")
      ->check(CLI::Range(1e-9, 1.0))
      ->excludes(k)
      ->group("PCA");
  app.add_option("--pca", flags.pca, "Apply a saved PCA instead of fitting one")->group("PCA");
  app.add_flag("--no-center", flags.no_center, "Do not subtract the mean (as Spark MLlib)")->group("PCA");
}

ListingOptions listing_options(const PhotoFlags& flags) {
  if (flags.sources.empty() && !flags.paths_from) {
    throw Error(ErrorCode::kUsage, "name a SOURCE (a folder or URI) or --paths-from FILE");
  }
  if (!flags.sources.empty() && flags.paths_from) {
    throw Error(ErrorCode::kUsage, "either SOURCEs or --paths-from, not both");
  }
  return {flags.sources, flags.glob, flags.paths_from, flags.limit};
}

NetworkOptions network_options(const NetworkFlags& flags) {
  NetworkOptions options;
  options.model = flags.model;
  options.preprocess = flags.preprocess;
  options.layer = flags.layer;
  options.pool = parse_pool(flags.pool);
  options.input_size = flags.input_size;
  options.precision = parse_precision(flags.precision);
  if (flags.resize) options.kernel = parse_kernel(*flags.resize);
  if (flags.fit) options.fit = parse_fit(*flags.fit);
  options.exif_orientation = !flags.no_exif;
  if (flags.jpeg_scale != "auto" && flags.jpeg_scale != "off") {
    throw Error(ErrorCode::kUsage, "--jpeg-scale is auto or off, not '" + flags.jpeg_scale + "'");
  }
  options.jpeg_scale = flags.jpeg_scale == "auto" ? JpegScale::kAuto : JpegScale::kOff;
  options.batch = flags.batch;
  return options;
}

FeaturizeOptions featurize_options(const PhotoFlags& photos, const NetworkFlags& network,
                                   const OutputFlags& output, const std::string& dest,
                                   const Context& context) {
  FeaturizeOptions options;
  options.listing = listing_options(photos);
  options.dest = dest;
  options.network = network_options(network);
  options.labels = output.labels;
  options.format = parse_format(output.format);
  options.csv_packed = output.csv_layout == "packed";
  if (options.csv_packed && options.format != Format::kCsv) {
    throw Error(ErrorCode::kUsage, "--csv-layout packed needs --format csv");
  }
  options.rows_per_file = output.rows_per_file;
  if (output.bytes_per_file) options.bytes_per_file = parse_bytes(*output.bytes_per_file);
  options.resume = output.resume;
  options.overwrite = output.overwrite;
  options.threads = output.threads;
  options.invocation = invocation(context);
  return options;
}

PcaOptions pca_options(const ReduceFlags& flags) {
  PcaOptions options;
  options.k = flags.components;
  if (!flags.components) options.variance = flags.variance.value_or(0.95);
  options.center = !flags.no_center;
  return options;
}

nlohmann::json invocation(const Context& context) {
  nlohmann::json words = nlohmann::json::array({"pomona"});
  for (const std::string& word : context.arguments) words.push_back(escape_path(without_credentials(word)));
  return words;
}

int exit_for_rejects(const FeaturizeResult& result, double max_reject_rate, const std::string& dest) {
  if (result.reject_rate() <= max_reject_rate) return kDone;
  tell(
      "pomona: {} of {} photos were rejected, more than --max-reject-rate {} allows.\n"
      "        Each is listed with its reason in {}/_rejects/.\n",
      human_count(result.rejected), human_count(result.listed), max_reject_rate, dest);
  return kTooManyRejects;
}

void print_featurized(const FeaturizeResult& result, const std::string& dest) {
  const double rate =
      result.seconds > 0 ? static_cast<double>(result.computed + result.identical) / result.seconds : 0;
  fmt::print("features  {} rows x {} in {}", human_count(result.written),
             human_count(static_cast<std::uint64_t>(result.schema.d)), human_seconds(result.seconds));
  if (result.reused > 0) fmt::print(", {} taken from before", human_count(result.reused));
  if (result.identical > 0) fmt::print(", {} the same bytes as another", human_count(result.identical));
  if (result.computed > 0) fmt::print(", {:.0f} photos/s", rate);
  fmt::print("\n          {}\n", dest);
  if (result.rejected == 0) return;
  fmt::print("rejected  {}, listed in {}/_rejects/\n", human_count(result.rejected), dest);
  std::size_t lines = 0;
  for (const auto& [reason, count] : result.reject_reasons) {
    if (++lines > 5) {
      fmt::print("          ... and {} other reasons\n", result.reject_reasons.size() - 5);
      break;
    }
    const std::string shown = reason.size() > 62 ? reason.substr(0, 59) + "..." : reason;
    fmt::print("          {:>5} x {}\n", human_count(count), shown);
  }
}

void print_reduced(const ReduceResult& result, const std::string& dest) {
  fmt::print("reduced   {} of {} components explain {:.1f} % of the variance\n          {}\n",
             human_count(static_cast<std::uint64_t>(result.k)),
             human_count(static_cast<std::uint64_t>(result.d)), 100 * result.explained, dest);
}

std::uint64_t parse_bytes(const std::string& text) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = lower_case(text.substr(used));
  double scale = 0;
  if (unit.empty() || unit == "b") scale = 1;
  if (unit == "k" || unit == "kb") scale = 1e3;
  if (unit == "m" || unit == "mb") scale = 1e6;
  if (unit == "g" || unit == "gb") scale = 1e9;
  if (unit == "kib") scale = 1024.0;
  if (unit == "mib") scale = 1024.0 * 1024;
  if (unit == "gib") scale = 1024.0 * 1024 * 1024;
  if (used == 0 || scale == 0 || !(value > 0) || value * scale > 1e15) {
    throw Error(ErrorCode::kUsage, "'" + text + "' is not a size. Write for example 128MB or 1GiB.");
  }
  return static_cast<std::uint64_t>(value * scale);
}

}  // namespace pomona::cli
