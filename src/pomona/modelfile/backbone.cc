// SPDX-License-Identifier: Apache-2.0
#include <onnx/onnx_pb.h>

#include "pomona/base/error.h"
#include "pomona/model/embedded.h"
#include "pomona/model/network_file.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/modelfile/model_file.h"

namespace pomona {

Backbone Backbone::of(const Network& network) {
  if (network_format(network.file()) != NetworkFormat::kOnnx) {
    throw Error(
        ErrorCode::kUnavailable,
        network.file().string() +
            ": only an ONNX network can be put into a model file. Convert it to ONNX first (for TensorFlow "
            "and TFLite: tf2onnx), make the features again with the ONNX file, then train.");
  }
  const OnnxModel graph = load_onnx(network.file());
  inline_external_data(*graph, network.file().has_parent_path() ? network.file().parent_path() : ".");
  Backbone backbone;
  backbone.name = network.name();
  backbone.preprocess = network.preprocess();
  backbone.fingerprint = network.fingerprint();
  backbone.dimension = network.dimension();
  backbone.map = network.map();
  backbone.cut = is_embedded(*graph) ? embedded_network(*graph).cut
                                     : network.fingerprint().identity.at("layer").get<std::string>();
  backbone.graph = graph;
  return backbone;
}

Network load_network(const ModelFile& model, const NetworkOptions& options) {
  NetworkOptions own;
  own.model = options.model;
  own.precision = options.precision;
  own.batch = options.batch;
  own.streams = options.streams;
  own.compile_cache = options.compile_cache;
  Network network = Network::load_embedded(*model.backbone.graph, own, model.sha256);
  if (network.dimension() != model.backbone.dimension) {
    throw Error(ErrorCode::kFormat, (model.file.empty() ? model.name : model.file.string()) +
                                        ": damaged model file: its network gives " +
                                        std::to_string(network.dimension()) + " features, its heads take " +
                                        std::to_string(model.backbone.dimension));
  }
  return network;
}

}  // namespace pomona
