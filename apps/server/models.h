// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pomona/model/network.h"
#include "pomona/modelfile/predictor.h"

namespace pomona::server {

// A model at work: heads, and its network compiled for one photo and for a batch. Immutable; whoever holds it
// may go on with it after it was replaced.
struct Model {
  Model(std::string model_name, std::string file, Predictor heads, Network one, Network batch)
      : name(std::move(model_name)),
        source(std::move(file)),
        predictor(std::move(heads)),
        single(std::move(one)),
        many(std::move(batch)) {}

  std::string name;    // it is asked for by
  std::string source;  // the file or URI it was read from
  Predictor predictor;
  Network single;        // batch 1
  Network many;          // batch N
  std::string identity;  // hash of the features' fingerprint
  std::string loaded;    // when, ISO 8601
};

struct ModelsOptions {
  std::vector<std::pair<std::string, std::string>> models;  // name, file or URI; the first is the default
  Precision precision = Precision::kAuto;  // auto: as the model was trained, where this CPU can
  int workers = 1;
  int batch = 0;  // photos through the network at once; 0 = by the input size
  bool compile_cache = true;
  bool strict = false;  // refuse another precision than that of training
};

using ModelPointer = std::shared_ptr<const Model>;
using ModelSet = std::vector<ModelPointer>;  // in the order they were named

// Reads and compiles all models. Throws as read_model_file() and load_network() do; `warn` gets sentences.
ModelSet load_models(const ModelsOptions& options, const std::function<void(const std::string&)>& warn);

// "NAME=FILE" or FILE, whose name is then that of the file without its ending. Throws Error{kUsage} for a
// name that is not letters, digits, . _ - or occurs twice.
std::vector<std::pair<std::string, std::string>> parse_model_arguments(const std::vector<std::string>& given);

// The models in use; replaced as a whole. Thread-safe.
class Models {
 public:
  void use(std::shared_ptr<const ModelSet> set);
  std::shared_ptr<const ModelSet> all() const;
  // By name; the default where the name is empty; null where there is none of that name.
  ModelPointer find(std::string_view name) const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const ModelSet> set_ = std::make_shared<const ModelSet>();
};

}  // namespace pomona::server
