// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/core.h>

#include "pomona/base/text.h"
#include "pomona/modelfile/model_file.h"

namespace pomona {
namespace {

constexpr std::size_t kColumns = 80;

class Lines {
 public:
  void add(const std::string& key, const std::string& value) {
    std::string line = fmt::format("  {:<13} {}", key, value);
    // Words go on below the first one.
    while (line.size() > kColumns) {
      const std::size_t space = line.rfind(' ', kColumns);
      if (space == std::string::npos || space <= 16) break;
      lines_.push_back(line.substr(0, space));
      line = std::string(16, ' ') + line.substr(space + 1);
    }
    lines_.push_back(line);
  }
  void title(const std::string& text) { lines_.push_back(text); }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string plain(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// One line per update: both models' figures on the same photos.
void add_history(const nlohmann::json& history, Lines& lines) {
  const auto text = [](const nlohmann::json& object, const char* name) {
    const auto at = object.find(name);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string("?");
  };
  const auto number = [](const nlohmann::json& object, const char* name) {
    const auto at = object.find(name);
    return at != object.end() && at->is_number() ? at->get<double>() : 0.0;
  };
  for (const nlohmann::json& update : history) {
    if (!update.is_object() || !update.contains("targets") || !update["targets"].is_array()) continue;
    for (const nlohmann::json& target : update["targets"]) {
      if (!target.is_object()) continue;
      std::string line =
          fmt::format("{} {}: {:.2f} % right, was {:.2f} %, on {:.0f} photos", text(update, "finished"),
                      text(target, "target"), 100 * number(target, "new_accuracy"),
                      100 * number(target, "old_accuracy"), number(target, "photos"));
      const auto added = target.find("new_classes");
      if (added != target.end() && added->is_array() && !added->empty()) {
        line += "; new:";
        for (const nlohmann::json& label : *added) line += " " + plain(label);
      }
      lines.add("updated", line);
    }
  }
}

std::string counted(std::size_t number) {
  return human_count(static_cast<std::uint64_t>(number));
}

}  // namespace

std::vector<std::string> describe_model_file(const ModelFile& model) {
  Lines lines;
  lines.title(model.name.empty() ? "A model trained by Pomona" : model.name);
  const Backbone& backbone = model.backbone;
  const auto& identity = backbone.fingerprint.identity;
  lines.add("network", backbone.name);
  lines.add("input",
            fmt::format("{} x {} pixels, {} ({})", backbone.preprocess.width, backbone.preprocess.height,
                        to_string(backbone.preprocess.kernel), backbone.preprocess.mode));
  lines.add("features",
            fmt::format("{}, layer {}, pool {}", counted(static_cast<std::size_t>(backbone.dimension)),
                        identity.value("layer", "?"), identity.value("pool", "?")));
  lines.add("trained in", backbone.fingerprint.precision);
  if (model.pca) {
    lines.add("components",
              fmt::format("{}, {:.1f} % of the variance", counted(static_cast<std::size_t>(model.pca->k())),
                          100 * model.pca->explained()));
  }
  for (const Target& target : model.targets) {
    const Classifier& classifier = target.classifier;
    std::string text = fmt::format("{} classes, {} on {}", counted(classifier.labels.size()), classifier.kind,
                                   target.on == HeadInput::kFeatures ? "features" : "components");
    if (const ForestHead* forest = classifier.forest())
      text += fmt::format(", {} trees", forest->roots.size());
    lines.add(target.name, text);
    if (!target.counts.empty()) {
      std::uint64_t photos = 0;
      for (const std::uint64_t count : target.counts) photos += count;
      const auto [least, most] = std::ranges::minmax_element(target.counts);
      lines.add("", fmt::format("trained on {} photos, {} to {} per class", human_count(photos),
                                human_count(*least), human_count(*most)));
    }
    if (target.target_precision > 0) {
      lines.add("", fmt::format("confident from {:.3f} on, for {:.1f} % right", target.confident_threshold,
                                100 * target.target_precision));
    }
    lines.add("", joined(classifier.labels));
  }
  if (model.unknown) {
    lines.add("unknown", fmt::format("beyond a distance of {:.4g}; {:.1f} % of validation photos are nearer",
                                     model.unknown->threshold, 100 * model.unknown->accepted));
  }
  for (const auto& [key, value] : model.card.items()) lines.add(key, plain(value));
  for (const auto& [key, value] : model.training.items()) {
    if (value.is_primitive()) lines.add(key, plain(value));
  }
  if (const auto history = model.training.find("history");
      history != model.training.end() && history->is_array())
    add_history(*history, lines);
  lines.add("fingerprint", backbone.fingerprint.identity_hash());
  if (!model.file.empty()) lines.add("file", model.file.string());
  return lines.take();
}

}  // namespace pomona
