// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/model/preprocess.h"
#include "pomona/model/registry.h"
#include "pomona/pipeline/predict.h"
#include "quantize.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

void print_card(const ModelCard& card) {
  fmt::print("{}\n", card.title.empty() ? card.name : card.title);
  const auto line = [](const char* key, const std::string& value) {
    if (!value.empty()) fmt::print("  {:<14} {}\n", key, value);
  };
  line("name", card.name);
  line("source", card.source);
  line("licence", card.licence);
  line("preprocess", card.preprocess.mode);
  line("input", fmt::format("{} x {} pixels", card.preprocess.width, card.preprocess.height));
  line("layer", card.layer);
  if (card.dimension > 0) line("dimension", human_count(static_cast<std::uint64_t>(card.dimension)));
  if (card.parameters > 0)
    line("parameters", fmt::format("{:.1f} million", static_cast<double>(card.parameters) / 1e6));
  if (card.top1) line("top-1", fmt::format("{:.1f} % on ImageNet", *card.top1));
  if (card.bytes > 0) line("size", human_bytes(card.bytes));
  line("sha256", card.sha256);
  line("url", card.url);
  line("file", card.file.string());
  line("installed", card.installed ? "yes" : "no");
}

nlohmann::json card_json(const ModelCard& card) {
  nlohmann::json json = {{"name", card.name},          {"title", card.title},
                         {"source", card.source},      {"licence", card.licence},
                         {"sha256", card.sha256},      {"url", card.url},
                         {"layer", card.layer},        {"preprocess", to_json(card.preprocess)},
                         {"file", card.file.string()}, {"installed", card.installed}};
  // What is not known is null.
  json["bytes"] = card.bytes > 0 ? nlohmann::json(card.bytes) : nullptr;
  json["dimension"] = card.dimension > 0 ? nlohmann::json(card.dimension) : nullptr;
  json["parameters"] = card.parameters > 0 ? nlohmann::json(card.parameters) : nullptr;
  json["top1"] = card.top1 ? nlohmann::json(*card.top1) : nullptr;
  return json;
}

void print_json(const nlohmann::json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_list_json() {
  nlohmann::json all = nlohmann::json::array();
  for (const ModelCard& card : list_models()) all.push_back(card_json(card));
  print_json(all);
}

void print_list() {
  const std::vector<ModelCard> cards = list_models();
  std::size_t width = 4;
  for (const ModelCard& card : cards) width = std::max(width, card.name.size());
  fmt::print("{:<{}} {:>5} {:>6} {:>6} {:>10}\n", "NAME", width, "INPUT", "DIM", "TOP-1", "PARAMETERS");
  for (const ModelCard& card : cards) {
    fmt::print("{:<{}} {:>5} {:>6} {:>6} {:>10}  {}\n", card.name, width, card.preprocess.width,
               card.dimension > 0 ? std::to_string(card.dimension) : "",
               card.top1 ? fmt::format("{:.1f} %", *card.top1) : "",
               card.parameters > 0 ? fmt::format("{:.1f} M", static_cast<double>(card.parameters) / 1e6) : "",
               card.installed ? "installed" : "pomona models pull " + card.name);
  }
}

}  // namespace

void add_models(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("models", "The networks: list, info, pull, add, quantize");
  verb->require_subcommand(1);
  verb->footer(
      "Examples:\n"
      "  pomona models pull resnet50\n"
      "  pomona models add ours network.onnx --preprocess tf");

  auto json = std::make_shared<bool>(false);
  CLI::App* list = verb->add_subcommand("list", "All networks by name");
  list->add_flag("--json", *json, "As JSON");
  list->callback([json, &action] {
    action = [json](const Context&) {
      *json ? print_list_json() : print_list();
      return kDone;
    };
  });

  auto name = std::make_shared<std::string>();
  CLI::App* info = verb->add_subcommand("info", "A network's card");
  info->add_option("NAME", *name, "A name of the list, or a model file (.onnx)")->required();
  info->add_flag("--json", *json, "Of a network: as JSON");
  info->callback([name, json, &action] {
    action = [name, json](const Context&) {
      // A trained model's file has a card of its own.
      if (std::filesystem::path(*name).extension() == ".onnx") {
        if (*json) throw Error(ErrorCode::kUsage, "--json is for networks, not for a model file");
        for (const std::string& line : describe_model_file(load_model(*name))) fmt::print("{}\n", line);
      } else if (*json) {
        print_json(card_json(find_model(*name)));
      } else {
        print_card(find_model(*name));
      }
      return kDone;
    };
  });

  CLI::App* pull = verb->add_subcommand("pull", "Download a network; goes on where a download ended");
  pull->add_option("NAME", *name, "A name of the list")->required();
  pull->callback([name, &action] {
    action = [name](const Context& context) {
      ProgressDisplay display("pull " + *name, context.quiet);
      const ModelCard card = pull_model(*name, display.hooks());
      display.finish();
      fmt::print("{} is there: {}\n", card.name, card.file.string());
      return kDone;
    };
  });

  struct Add {
    std::string name, file, preprocess, layer = "penultimate", licence;
    std::optional<int> input_size;
  };
  auto add_flags = std::make_shared<Add>();
  CLI::App* add = verb->add_subcommand("add", "Add a network from a file under a name of your own");
  add->add_option("NAME", add_flags->name, "Its name from now on")->required();
  add->add_option("FILE", add_flags->file, ".onnx, .xml, .tflite or a SavedModel folder")->required();
  add->add_option("--preprocess", add_flags->preprocess, "tf | caffe | torch | lite | SPEC.json")->required();
  add->add_option("--layer", add_flags->layer, "penultimate, or the name of a tensor")->capture_default_str();
  add->add_option("--input-size", add_flags->input_size, "Pixels, both sides")->check(CLI::Range(1, 8192));
  add->add_option("--licence", add_flags->licence, "For its card");
  add->callback([add_flags, &action] {
    action = [add_flags](const Context&) {
      PreprocessSpec spec = preprocess_spec(add_flags->preprocess);
      if (add_flags->input_size) {
        spec.width = spec.height = *add_flags->input_size;
        spec.sized = true;
      }
      print_card(add_model(add_flags->name, add_flags->file, spec, add_flags->layer, add_flags->licence));
      return kDone;
    };
  });

  add_quantize(*verb, action);
}

}  // namespace pomona::cli
