// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/embedded.h"

#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/model/onnx_graph.h"

namespace pomona {
namespace {

nlohmann::json metadata_object(const onnx::ModelProto& model, const char* key) {
  nlohmann::json object = parse_json(onnx_metadata(model, key));
  if (!object.is_object()) {
    throw Error(ErrorCode::kFormat, std::string("damaged model file: its metadata `") + key +
                                        "` is not there or is not a JSON object");
  }
  return object;
}

std::string text(const nlohmann::json& object, const char* key, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty()) {
    throw Error(ErrorCode::kFormat,
                std::string("damaged model file: its metadata `") + key + "` has no text `" + field + "`");
  }
  return found->get<std::string>();
}

}  // namespace

bool is_embedded(const onnx::ModelProto& model) {
  return !onnx_metadata(model, kBackboneKey).empty();
}

EmbeddedNetwork embedded_network(const onnx::ModelProto& model) {
  EmbeddedNetwork network;
  const nlohmann::json backbone = metadata_object(model, kBackboneKey);
  network.name = text(backbone, kBackboneKey, "name");
  network.cut = text(backbone, kBackboneKey, "cut");
  network.preprocess = preprocess_from_json(metadata_object(model, kPreprocessKey));
  network.fingerprint = fingerprint_from_json(metadata_object(model, kFingerprintKey));
  for (const char* field : {"network_sha256", "layer", "pool"}) {
    text(network.fingerprint.identity, kFingerprintKey, field);
  }
  return network;
}

}  // namespace pomona
