// SPDX-License-Identifier: Apache-2.0
#include "models.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "pomona/base/error.h"
#include "pomona/pipeline/predict.h"

namespace pomona::server {
namespace {

ModelPointer load(const std::string& name, const std::string& source, const ModelsOptions& options,
                  const std::function<void(const std::string&)>& warn) {
  Predictor predictor(load_model(source));
  const Fingerprint& trained = predictor.model().backbone.fingerprint;
  NetworkOptions network;
  network.model = source;
  network.streams = options.workers;
  network.compile_cache = options.compile_cache;
  network.precision = options.precision;
  if (options.precision == Precision::kAuto) {
    network.precision = precision_like(trained.precision);
  }
  network.batch = 1;
  Network single = load_network(predictor.model(), network);
  network.batch = options.batch;
  Network many = options.batch == 1 ? single : load_network(predictor.model(), network);
  if (const auto warning = require_same(single.fingerprint(), "this server", trained, "training of " + source,
                                        options.strict)) {
    warn(*warning);
  }
  auto model =
      std::make_shared<Model>(name, source, std::move(predictor), std::move(single), std::move(many));
  model->identity = model->single.fingerprint().identity_hash();
  model->loaded =
      fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                  fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  return model;
}

}  // namespace

ModelSet load_models(const ModelsOptions& options, const std::function<void(const std::string&)>& warn) {
  ModelSet set;
  for (const auto& [name, source] : options.models) set.push_back(load(name, source, options, warn));
  return set;
}

std::vector<std::pair<std::string, std::string>> parse_model_arguments(
    const std::vector<std::string>& given) {
  std::vector<std::pair<std::string, std::string>> models;
  for (const std::string& argument : given) {
    const std::size_t equals = argument.find('=');
    const bool named = equals != std::string::npos && argument.find('/') > equals;
    const std::string source = named ? argument.substr(equals + 1) : argument;
    const std::string name =
        named ? argument.substr(0, equals) : std::filesystem::path(source).stem().string();
    const bool good = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) || c == '.' || c == '_' || c == '-';
    });
    if (!good || source.empty()) {
      throw Error(ErrorCode::kUsage,
                  "`" + argument +
                      "`: a model served needs a name of letters, digits, dots, dashes and "
                      "underscores: give NAME=FILE");
    }
    for (const auto& [other, file] : models) {
      if (other == name) {
        throw Error(ErrorCode::kUsage,
                    "two models are named " + name + ": give NAME=FILE to tell them apart");
      }
    }
    models.emplace_back(name, source);
  }
  return models;
}

void Models::use(std::shared_ptr<const ModelSet> set) {
  const std::lock_guard lock(mutex_);
  set_ = std::move(set);
}

std::shared_ptr<const ModelSet> Models::all() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

ModelPointer Models::find(std::string_view name) const {
  const auto set = all();
  for (const ModelPointer& model : *set) {
    if (name.empty() || model->name == name) return model;
  }
  return nullptr;
}

}  // namespace pomona::server
