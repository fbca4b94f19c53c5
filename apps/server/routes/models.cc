// SPDX-License-Identifier: Apache-2.0
// /v1/models.
#include <nlohmann/json.hpp>

#include "photos.h"

namespace pomona::server {
namespace {

using nlohmann::json;

json describe(const Model& model) {
  const ModelFile& file = model.predictor.model();
  const PreprocessSpec& spec = model.single.preprocess();
  json out = model_json(model);
  out["title"] = file.name.empty() ? model.name : file.name;
  out["network"] = file.backbone.name;
  out["dimension"] = file.backbone.dimension;
  out["input"] = {{"width", spec.width}, {"height", spec.height}};
  out["components"] = file.pca ? json(file.pca->k()) : json(nullptr);
  out["takes_components"] = model.predictor.takes_components() && file.pca.has_value();
  out["tells_unknown"] = file.unknown.has_value();
  out["loaded"] = model.loaded;
  out["targets"] = json::array();
  for (const Target& target : file.targets) {
    out["targets"].push_back({{"name", target.name},
                              {"kind", target.classifier.kind},
                              {"labels", target.classifier.labels},
                              {"confident_from", target.confident_threshold}});
  }
  return out;
}

}  // namespace

void add_model_routes(Router& router, App& app) {
  router.add(
      {"GET", "/v1/models", kClassify, Body::kNone, RunOn::kListener, [&app](const Call&, Reply reply) {
         const auto set = app.models.all();
         json out = {{"default", set->empty() ? "" : set->front()->name}, {"models", json::array()}};
         for (const ModelPointer& model : *set) out["models"].push_back(describe(*model));
         reply(json_response(out));
       }});
}

}  // namespace pomona::server
