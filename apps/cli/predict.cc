// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/predict.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "common.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/predictions_dataset.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Flags {
  std::string model;
  std::vector<std::string> places;
  std::optional<std::string> out;
  PhotoFlags photos;
  std::string precision = "auto";
  int top = 3;
  bool as_json = false;
  bool strict = false;
  bool overwrite = false;
  bool no_cache = false;
  bool timings = false;
  double max_reject_rate = 0.01;
  int threads = 0;
};

constexpr std::size_t kColumns = 80;

// Photos end like this; a DEST does not.
bool ends_like_a_photo(const std::string& place) {
  const std::string ending = lower_case(fs::path(place).extension().string());
  for (const char* known : {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".avif"}) {
    if (ending == known) return true;
  }
  return false;
}

// Whether the last of several places is where the answers go: a folder that is not there yet, or one that
// holds answers or nothing; for a store, anything that is not named like a photo.
bool is_dest(const std::string& place) {
  if (place == "-" || ends_like_a_photo(place)) return false;
  if (is_remote_uri(place)) return true;
  std::error_code error;
  if (!fs::exists(place, error)) return true;
  if (!fs::is_directory(place, error)) return false;
  return fs::is_empty(place, error) || fs::exists(fs::path(place) / "_run.json", error) ||
         fs::exists(fs::path(place) / "_temporary", error);
}

std::vector<std::byte> read_stdin() {
  constexpr std::size_t kMost = 512u << 20;
  std::vector<std::byte> bytes;
  std::size_t used = 0;
  for (;;) {
    if (bytes.size() - used < (1u << 16)) bytes.resize(std::max<std::size_t>(1u << 18, 2 * bytes.size()));
    const std::size_t got = std::fread(bytes.data() + used, 1, bytes.size() - used, stdin);
    used += got;
    if (got == 0) break;
    if (used > kMost) throw Error(ErrorCode::kUsage, "standard input is longer than 512 MiB: not one photo");
  }
  bytes.resize(used);
  return bytes;
}

// The end of `text` that fits; its beginning gives way to "...". Bytes stand for columns but for the
// continuation bytes of UTF-8.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string fitted(std::string text, std::size_t width, bool keep_end) {
  if (columns(text) > width) {
    while (columns(text) > width - 3) {
      const auto lead = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
      if (keep_end) {
        text.erase(text.begin(), std::find_if(text.begin() + 1, text.end(), lead));
      } else {
        while (!lead(text.back())) text.pop_back();
        text.pop_back();
      }
    }
    text = keep_end ? "..." + text : text + "...";
  }
  return text + std::string(width - std::min(width, columns(text)), ' ');
}

class TablePrinter {
 public:
  void heading(const Predictor& predictor) {
    targets_ = predictor.model().targets;
    fmt::print("{} {} {:>6}  {}\n", fitted("PHOTO", kPath, true),
               fitted(targets_.front().name, kLabel, false), "%", "");
  }

  void print(const PredictedPhoto& photo) {
    const std::string path = fitted(photo.info.path, kPath, true);
    if (photo.reject) {
      fmt::print("{} {}\n", path, fitted("rejected: " + photo.reject->reason, kColumns - kPath - 1, false));
      return;
    }
    const Prediction& answer = *photo.answer;
    for (std::size_t t = 0; t < targets_.size(); ++t) {
      const TargetAnswer& own = answer.targets[t];
      const std::string& label = targets_[t].classifier.labels[static_cast<std::size_t>(own.best)];
      const std::string shown = t == 0 ? label : targets_[t].name + ": " + label;
      fmt::print("{} {} {:>6.1f}  {}\n", t == 0 ? path : std::string(kPath, ' '),
                 fitted(shown, kLabel, false), 100.0 * static_cast<double>(own.probability),
                 answer.unknown  ? "unknown"
                 : own.confident ? "confident"
                                 : "unsure");
    }
  }

 private:
  static constexpr std::size_t kPath = 36;
  static constexpr std::size_t kLabel = 24;
  std::vector<Target> targets_;
};

// The fewest digits that say the float32 exactly, as the server writes it.
double shortest(float value) {
  return std::stod(fmt::format("{}", value));
}

json answer_json(const Target& target, const Prediction& answer, std::size_t t, int top) {
  const auto& labels = target.classifier.labels;
  json out = {{"label", labels[static_cast<std::size_t>(answer.targets[t].best)]},
              {"probability", shortest(answer.targets[t].probability)},
              {"confident", answer.targets[t].confident}};
  out["top"] = json::array();
  for (const auto& [index, probability] : answer.top(t, static_cast<std::size_t>(top))) {
    out["top"].push_back(
        {{"label", labels[static_cast<std::size_t>(index)]}, {"probability", shortest(probability)}});
  }
  return out;
}

class JsonPrinter {
 public:
  explicit JsonPrinter(int top) : top_(top) {}

  void heading(const Predictor& predictor) { targets_ = predictor.model().targets; }

  void print(const PredictedPhoto& photo) {
    json line = json::object();
    if (photo.answer) {
      line = answer_json(targets_.front(), *photo.answer, 0, top_);
      line["unknown"] = photo.answer->unknown;
      if (photo.answer->distance) line["distance"] = shortest(*photo.answer->distance);
      line["width"] = photo.info.width;
      line["height"] = photo.info.height;
      for (std::size_t t = 1; t < targets_.size(); ++t) {
        line["targets"][targets_[t].name] = answer_json(targets_[t], *photo.answer, t, top_);
      }
    } else {
      line["rejected"] = {{"stage", photo.reject->stage}, {"reason", photo.reject->reason}};
    }
    line["path"] = photo.info.path;
    fmt::print("{}\n", line.dump(-1, ' ', false, json::error_handler_t::replace));
    if (++lines_ % 16 == 0) std::fflush(stdout);
  }

 private:
  int top_;
  std::uint64_t lines_ = 0;
  std::vector<Target> targets_;
};

int run_predict(Flags& flags, const Context& context) {
  PredictOptions options;
  options.model = flags.model;
  options.precision = parse_precision(flags.precision);
  options.threads = flags.threads;
  options.strict = flags.strict;
  options.compile_cache = !flags.no_cache;
  std::vector<std::string> places = flags.places;
  const std::size_t sources = flags.photos.paths_from ? 0 : 1;
  if (!flags.out && places.size() > sources && is_dest(places.back())) {
    flags.out = places.back();
    places.pop_back();
  }
  if (places.size() == 1 && places.front() == "-") {
    options.photo = read_stdin();
  } else {
    flags.photos.sources = places;
    options.listing = listing_options(flags.photos);
  }

  std::optional<PredictionsWriter> writer;
  TablePrinter table;
  JsonPrinter lines(flags.top);
  const bool as_table = !flags.as_json && isatty(STDOUT_FILENO) != 0;
  const bool progress = flags.out || !as_table;
  ProgressDisplay display("predict", context.quiet || !progress || isatty(STDERR_FILENO) == 0);
  const Predictor* model = nullptr;
  const auto heading = [&](const Predictor& predictor) {
    model = &predictor;
    if (!flags.out) {
      as_table ? table.heading(predictor) : lines.heading(predictor);
    }
  };
  const auto sink = [&](const PredictedPhoto& photo) {
    // Not before there is an answer: sources that are not there must not cost what stands at DEST.
    if (flags.out && !writer) writer.emplace(*flags.out, *model, flags.top, flags.overwrite);
    if (writer) {
      writer->add(photo);
    } else {
      as_table ? table.print(photo) : lines.print(photo);
    }
  };
  const PredictResult result = predict(options, heading, sink, display.hooks(), context.stop);
  display.finish();
  std::fflush(stdout);
  if (writer) {
    writer->finish(
        {{"model", flags.model}, {"invocation", invocation(context)}, {"seconds", result.seconds}});
    const double rate = result.seconds > 0 ? static_cast<double>(result.listed) / result.seconds : 0;
    fmt::print("answers   {} in {}, {:.0f} photos/s\n          {}\n", counted(result.listed, "photo"),
               human_seconds(result.seconds), rate, *flags.out);
  }
  if (flags.timings) {
    tell("model read {:.3f} s, network ready {:.3f} s, first answer {:.3f} s, all {:.3f} s\n",
         result.model_seconds, result.network_seconds, result.first_answer_seconds, result.seconds);
    for (const auto& [stage, seconds] : result.stages) tell("  {:<18} {:.3f} s\n", stage, seconds);
  }
  if (result.reject_rate() <= flags.max_reject_rate) return kDone;
  tell("pomona: {} of {} photos were rejected, more than --max-reject-rate {} allows.\n",
       human_count(result.rejected), human_count(result.listed), flags.max_reject_rate);
  return kTooManyRejects;
}

}  // namespace

void add_predict(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("predict", "A trained model's answer for each photo");
  verb->footer(
      "A table on a terminal, one JSON object a line otherwise, Parquet where DEST is named.\n"
      "Examples:\n"
      "  pomona predict model.onnx photo.jpg\n"
      "  pomona predict model.onnx s3://bucket/new/ answers/\n"
      "  curl -s https://example.org/apple.jpg | pomona predict model.onnx -\n"
      "  find . -name '*.jpg' -print0 | pomona predict fruit.onnx --paths-from -");
  verb->add_option("MODEL", flags->model, "A model file, from `pomona train`")->required();
  verb->add_option(
      "PLACES", flags->places,
      "SOURCE [SOURCE...] [DEST]: photos, folders or URIs; - is one photo on stdin; DEST, last, is a new "
      "folder for Parquet");
  verb->add_option("-o,--out", flags->out, "DEST, where the order of places does not tell")->group("Output");
  verb->add_option("--top", flags->top, "Classes to name per photo")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000))
      ->group("Output");
  verb->add_flag("--json", flags->as_json, "JSON lines on a terminal too")->group("Output");
  verb->add_flag("--overwrite", flags->overwrite, "Replace what stands at DEST")->group("Output");
  verb->add_option("--max-reject-rate", flags->max_reject_rate, "Exit with 3 above this share of rejects")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group("Output");
  verb->add_flag("--timings", flags->timings, "Where the time went, on stderr")->group("Output");
  verb->add_option("--threads", flags->threads, "Worker threads")
      ->check(CLI::Range(1, 4096))
      ->group("Output");
  verb->add_option("--precision", flags->precision,
                   "auto (as in training, where this CPU can) | f32 | bf16 | int8")
      ->capture_default_str()
      ->group("Network");
  verb->add_flag("--strict", flags->strict, "Refuse another precision than that of training")
      ->group("Network");
  verb->add_flag("--no-compile-cache", flags->no_cache, "Compile the network anew")->group("Network");
  add_photo_flags(*verb, flags->photos);
  verb->callback([flags, &action] {
    action = [flags](const Context& context) { return run_predict(*flags, context); };
  });
}

}  // namespace pomona::cli
