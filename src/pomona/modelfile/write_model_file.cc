// SPDX-License-Identifier: Apache-2.0
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/model/embedded.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/modelfile/graph_builder.h"
#include "pomona/modelfile/model_file.h"
#include "pomona/modelfile/model_file_names.h"

namespace pomona {
namespace {

using nlohmann::json;

// Names a model file gives to its own tensors; a network that uses one of them lets it go.
bool is_reserved(const std::string& name) {
  return name == names::kFeatures || name == names::kReduced || name == names::kDistance ||
         name.starts_with("probabilities") || name.starts_with("label") || name.starts_with("pomona/");
}

std::string renamed(const std::string& name) {
  return is_reserved(name) ? "backbone/" + name : name;
}

// Everywhere a tensor can be named, subgraphs included: those may read tensors from outside.
void rename_tensors(onnx::GraphProto& graph) {
  for (auto& node : *graph.mutable_node()) {
    for (auto& name : *node.mutable_input()) name = renamed(name);
    for (auto& name : *node.mutable_output()) name = renamed(name);
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) rename_tensors(*attribute.mutable_g());
      for (auto& inner : *attribute.mutable_graphs()) rename_tensors(inner);
    }
  }
  for (auto& tensor : *graph.mutable_initializer()) tensor.set_name(renamed(tensor.name()));
  for (auto& tensor : *graph.mutable_sparse_initializer()) {
    tensor.mutable_values()->set_name(renamed(tensor.values().name()));
  }
  for (auto* values : {graph.mutable_input(), graph.mutable_output(), graph.mutable_value_info()}) {
    for (auto& value : *values) value.set_name(renamed(value.name()));
  }
}

// Leaves the picture alone as the graph's input, at the size the features were made at.
void settle_input(onnx::GraphProto& graph, const PreprocessSpec& spec) {
  std::unordered_set<std::string> constants;
  for (const auto& tensor : graph.initializer()) constants.insert(tensor.name());
  std::unordered_set<std::string> used;
  for (const auto& node : graph.node()) used.insert(node.input().begin(), node.input().end());
  auto& inputs = *graph.mutable_input();
  for (int i = inputs.size() - 1; i >= 0; --i) {
    const std::string& name = inputs[i].name();
    if (constants.contains(name) || (!used.contains(name) && inputs.size() > 1)) inputs.DeleteSubrange(i, 1);
  }
  if (inputs.size() != 1) {
    throw Error(ErrorCode::kUnavailable,
                "the network has " + std::to_string(inputs.size()) + " inputs, not one");
  }
  auto& type = *inputs[0].mutable_type()->mutable_tensor_type();
  auto& shape = *type.mutable_shape();
  if (shape.dim_size() != 4) return;
  const bool last = shape.dim(3).dim_value() == 3 && shape.dim(1).dim_value() != 3;
  shape.mutable_dim(last ? 1 : 2)->set_dim_value(spec.height);
  shape.mutable_dim(last ? 2 : 3)->set_dim_value(spec.width);
  inputs[0].set_doc_string(
      "A photo as RGB bytes resized to this size, as `pomona.preprocess` says, then (x - mean) / std per "
      "channel.");
}

// cut -> features (N, d)
void add_features(GraphBuilder& builder, const Backbone& backbone, const std::string& cut) {
  const std::string pool = backbone.fingerprint.identity.value("pool", "none");
  std::string flat = cut;
  const auto transpose = [&](const std::string& to, std::initializer_list<std::int64_t> order) {
    auto& perm = *builder.node("Transpose", {flat}, to).add_attribute();
    perm.set_name("perm");
    perm.set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t axis : order) perm.add_ints(axis);
    flat = to;
  };
  if (pool != "none") {
    if (backbone.map == MapLayout::kChannelsLast) transpose("pomona/map", {0, 3, 1, 2});
    builder.node(pool == "avg" ? "GlobalAveragePool" : "GlobalMaxPool", {flat}, "pomona/pooled");
    flat = "pomona/pooled";
  } else if (backbone.map == MapLayout::kChannelsFirst) {
    transpose("pomona/map", {0, 2, 3, 1});
  }
  builder.node("Flatten", {flat}, names::kFeatures);
  builder.output(names::kFeatures, false, {-1, backbone.dimension});
}

void add_pca(GraphBuilder& builder, const Pca& pca) {
  builder.floats(names::kPcaMean, pca.mean(), {pca.d()});
  builder.floats(names::kPcaComponents, pca.components(), {pca.k(), pca.d()});
  builder.node("Sub", {names::kFeatures, names::kPcaMean}, "pomona/centred");
  const std::vector<float> zero = {0};
  builder.floats("pomona/pca/zero", zero, {1});
  builder.dense("pomona/centred", names::kPcaComponents, "pomona/pca/zero", names::kReduced);
  builder.output(names::kReduced, false, {-1, pca.k()});
}

const char* input_of(HeadInput on) {
  return on == HeadInput::kFeatures ? names::kFeatures : names::kReduced;
}

void add_head(GraphBuilder& builder, const Target& target, std::size_t index) {
  const std::string probabilities = names::probabilities(index, target.name);
  const std::string label = names::label(index, target.name);
  const auto classes = static_cast<std::int64_t>(target.classifier.classes());
  if (const LinearHead* linear = target.classifier.linear()) {
    const std::string scores = names::head(index) + "/scores";
    builder.floats(names::weights(index), linear->weights, {classes, target.classifier.d});
    builder.floats(names::bias(index), linear->bias, {classes});
    builder.dense(input_of(target.on), names::weights(index), names::bias(index), scores);
    const auto axis = [](onnx::NodeProto& node, const char* name, std::int64_t value) {
      auto& attribute = *node.add_attribute();
      attribute.set_name(name);
      attribute.set_type(onnx::AttributeProto::INT);
      attribute.set_i(value);
    };
    axis(builder.node("Softmax", {scores}, probabilities), "axis", 1);
    auto& best = builder.node("ArgMax", {probabilities}, label);
    axis(best, "axis", 1);
    axis(best, "keepdims", 0);
  } else {
    builder.forest(input_of(target.on), *target.classifier.forest(), target.classifier.classes(), label,
                   probabilities);
  }
  builder.output(probabilities, false, {-1, classes});
  builder.output(label, true, {-1});
}

void add_unknown(GraphBuilder& builder, const UnknownDetector& detector) {
  std::string x = input_of(detector.on);
  if (detector.normalize) {
    auto& node = builder.node("LpNormalization", {x}, "pomona/unknown/unit");
    for (const auto& [name, value] : {std::pair("axis", 1), std::pair("p", 2)}) {
      auto& attribute = *node.add_attribute();
      attribute.set_name(name);
      attribute.set_type(onnx::AttributeProto::INT);
      attribute.set_i(value);
    }
    x = "pomona/unknown/unit";
  }
  std::string z = x;
  if (!detector.mean.empty()) {
    builder.floats(names::kUnknownMean, detector.mean, {detector.d});
    z = "pomona/unknown/centred";
    builder.node("Sub", {x, names::kUnknownMean}, z);
  }
  if (!detector.whitening.empty()) {
    builder.floats(names::kUnknownWhitening, detector.whitening, {detector.q, detector.d});
    const std::vector<float> zero = {0};
    builder.floats("pomona/unknown/zero", zero, {1});
    builder.dense(z, names::kUnknownWhitening, "pomona/unknown/zero", "pomona/unknown/white");
    z = "pomona/unknown/white";
  }
  const auto centres = static_cast<std::int64_t>(detector.centres.size()) / detector.q;
  builder.floats(names::kUnknownCentres, detector.centres, {centres, detector.q});
  builder.integers("pomona/unknown/rows", {-1, 1, detector.q});
  builder.node("Reshape", {z, "pomona/unknown/rows"}, "pomona/unknown/row");
  builder.node("Sub", {"pomona/unknown/row", names::kUnknownCentres}, "pomona/unknown/away");
  builder.node("Mul", {"pomona/unknown/away", "pomona/unknown/away"}, "pomona/unknown/squares");
  builder.reduce("ReduceSum", "pomona/unknown/squares", 2, "pomona/unknown/distances");
  builder.reduce("ReduceMin", "pomona/unknown/distances", 1, "pomona/unknown/least");
  builder.node("Sqrt", {"pomona/unknown/least"}, names::kDistance);
  builder.output(names::kDistance, false, {-1});
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void add_metadata(onnx::ModelProto& proto, const ModelFile& model, const std::string& cut) {
  const Backbone& backbone = model.backbone;
  set_onnx_metadata(proto, kFormatKey, std::to_string(kModelFileVersion));
  if (!model.name.empty()) set_onnx_metadata(proto, names::kName, model.name);
  const char* map = backbone.map == MapLayout::kFlat            ? "flat"
                    : backbone.map == MapLayout::kChannelsFirst ? "channels_first"
                                                                : "channels_last";
  set_onnx_metadata(
      proto, kBackboneKey,
      dumped({{"name", backbone.name}, {"cut", cut}, {"map", map}, {"dimension", backbone.dimension}}));
  set_onnx_metadata(proto, kPreprocessKey, dumped(to_json(backbone.preprocess)));
  set_onnx_metadata(proto, kFingerprintKey, dumped(to_json(backbone.fingerprint)));
  if (model.pca) {
    json pca = {{"d", model.pca->d()},
                {"k", model.pca->k()},
                {"n", model.pca->n()},
                {"center", model.pca->center()},
                {"explained", model.pca->explained()},
                {"spectrum", json::array()}};
    for (const double value : model.pca->spectrum()) pca["spectrum"].push_back(value);
    if (!model.pca->record.is_null()) pca["record"] = model.pca->record;
    set_onnx_metadata(proto, names::kPca, dumped(pca));
  }
  json targets = json::array();
  for (std::size_t i = 0; i < model.targets.size(); ++i) {
    const Target& target = model.targets[i];
    targets.push_back({{"name", target.name},
                       {"labels", target.classifier.labels},
                       {"classifier", target.classifier.kind},
                       {"record", target.classifier.record},
                       {"d", target.classifier.d},
                       {"head", target.classifier.linear() != nullptr ? "linear" : "forest"},
                       {"on", target.on == HeadInput::kFeatures ? "features" : "components"},
                       {"probabilities", names::probabilities(i, target.name)},
                       {"label", names::label(i, target.name)},
                       {"confident_threshold", target.confident_threshold},
                       {"target_precision", target.target_precision},
                       {"counts", target.counts}});
  }
  set_onnx_metadata(proto, names::kTargets, dumped(targets));
  if (model.unknown) {
    const UnknownDetector& detector = *model.unknown;
    set_onnx_metadata(proto, names::kUnknown,
                      dumped({{"on", detector.on == HeadInput::kFeatures ? "features" : "components"},
                              {"normalize", detector.normalize},
                              {"d", detector.d},
                              {"q", detector.q},
                              {"centred", !detector.mean.empty()},
                              {"whitened", !detector.whitening.empty()},
                              {"threshold", detector.threshold},
                              {"accepted", detector.accepted}}));
  }
  set_onnx_metadata(proto, names::kTraining, dumped(model.training));
  set_onnx_metadata(proto, names::kCard, dumped(model.card));
}

}  // namespace

std::string serialize_model_file(const ModelFile& model) {
  check_model_file(model);
  onnx::ModelProto proto = *model.backbone.graph;
  prune_onnx(proto, {model.backbone.cut});
  if (has_ml_nodes(proto)) {
    throw Error(ErrorCode::kUnavailable,
                "the network's features come from ai.onnx.ml nodes, which the engine does not run");
  }
  proto.clear_metadata_props();
  proto.clear_training_info();
  proto.clear_doc_string();
  proto.set_producer_name("pomona");
  proto.set_producer_version(POMONA_VERSION);
  onnx::GraphProto& graph = *proto.mutable_graph();
  graph.clear_output();
  graph.clear_quantization_annotation();
  rename_tensors(graph);
  settle_input(graph, model.backbone.preprocess);
  const std::string cut = renamed(model.backbone.cut);

  GraphBuilder builder(proto);
  add_features(builder, model.backbone, cut);
  if (model.pca) add_pca(builder, *model.pca);
  for (std::size_t i = 0; i < model.targets.size(); ++i) add_head(builder, model.targets[i], i);
  if (model.unknown) add_unknown(builder, *model.unknown);
  add_metadata(proto, model, cut);
  check_onnx(proto, {});
  return serialize_onnx(proto);
}

void write_model_file(const ModelFile& model, const std::filesystem::path& file) {
  write_file_atomically(file, serialize_model_file(model));
}

}  // namespace pomona
