// SPDX-License-Identifier: Apache-2.0
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <unordered_map>

#include <fmt/core.h>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/json_text.h"
#include "pomona/base/paths.h"
#include "pomona/model/embedded.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/modelfile/model_file.h"
#include "pomona/modelfile/model_file_names.h"

namespace pomona {
namespace {

using nlohmann::json;

[[noreturn]] void damaged(const std::string& why) {
  throw Error(ErrorCode::kFormat, "damaged model file: " + why);
}

json metadata(const onnx::ModelProto& proto, const char* key, json::value_t type) {
  json value = parse_json(onnx_metadata(proto, key));
  if (value.is_discarded() || value.type() != type) {
    damaged(fmt::format("its metadata `{}` is not there or is not what it should be", key));
  }
  return value;
}

// A field of a JSON object, of the type asked for.
template <typename T>
T field(const json& object, const char* name, const T& most = T{}) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  const bool there = object.is_object() && found != object.end();
  if constexpr (std::is_same_v<T, std::string>) {
    if (there && found->is_string()) return found->template get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (there && found->is_boolean()) return found->template get<bool>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (there && found->is_number()) return found->template get<T>();
  } else {
    if (there && found->is_number_integer()) {
      const auto value = found->template get<std::int64_t>();
      if (value >= 0 && (most == 0 || value <= static_cast<std::int64_t>(most))) return static_cast<T>(value);
    }
  }
  damaged(fmt::format("its metadata has no sound `{}`", name));
}

HeadInput head_input(const json& object) {
  const auto on = field<std::string>(object, "on");
  if (on == "features") return HeadInput::kFeatures;
  if (on == "components") return HeadInput::kComponents;
  damaged("a head works on `" + on + "`, neither features nor components");
}

// The file's tensors by name. check_onnx() has seen that their bytes fit their shapes.
class Tensors {
 public:
  explicit Tensors(const onnx::GraphProto& graph) {
    for (const auto& tensor : graph.initializer()) {
      if (tensor.name().starts_with("pomona/")) by_name_.emplace(tensor.name(), &tensor);
    }
  }

  // Throws where it is not there, is not float32, or has other sides; a side of -1 may be any.
  std::vector<float> read(const std::string& name, std::vector<std::int64_t> sides) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) damaged("it has no tensor `" + name + "`");
    const onnx::TensorProto& tensor = *found->second;
    bool fits = tensor.data_type() == onnx::TensorProto::FLOAT && tensor.has_raw_data() &&
                tensor.dims_size() == static_cast<int>(sides.size());
    for (int i = 0; fits && i < tensor.dims_size(); ++i) {
      const std::int64_t side = sides[static_cast<std::size_t>(i)];
      fits = tensor.dims(i) >= 1 && (side < 0 || tensor.dims(i) == side);
    }
    if (!fits) damaged("the tensor `" + name + "` has another shape or type than it should have");
    std::vector<float> values(tensor.raw_data().size() / sizeof(float));
    std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
    return values;
  }

 private:
  std::unordered_map<std::string_view, const onnx::TensorProto*> by_name_;
};

const onnx::AttributeProto& attribute(const onnx::NodeProto& node, const char* name) {
  for (const auto& candidate : node.attribute()) {
    if (candidate.name() == name) return candidate;
  }
  damaged(fmt::format("its forest has no `{}`", name));
}

const onnx::NodeProto& forest_node(const onnx::GraphProto& graph, const std::string& scores) {
  for (const auto& node : graph.node()) {
    if (node.op_type() == "TreeEnsembleClassifier" && node.output_size() == 2 && node.output(1) == scores) {
      return node;
    }
  }
  damaged("no forest makes `" + scores + "`");
}

// Back from ONNX's spelling. What comes out is checked by check_model_file() like any other forest.
ForestHead read_forest(const onnx::NodeProto& node, std::size_t classes) {
  const auto& tree_of = attribute(node, "nodes_treeids").ints();
  const auto& id_of = attribute(node, "nodes_nodeids").ints();
  const auto& features = attribute(node, "nodes_featureids").ints();
  const auto& lefts = attribute(node, "nodes_truenodeids").ints();
  const auto& rights = attribute(node, "nodes_falsenodeids").ints();
  const auto& values = attribute(node, "nodes_values").floats();
  const auto& modes = attribute(node, "nodes_modes").strings();
  const int nodes = tree_of.size();
  for (const int size :
       {id_of.size(), features.size(), lefts.size(), rights.size(), values.size(), modes.size()}) {
    if (size != nodes) damaged("its forest has arrays of different lengths");
  }
  ForestHead head;
  const auto child = [&](std::int64_t id, std::int64_t root) {
    if (id < 0 || id >= nodes - root) damaged("its forest has a branch that leads nowhere");
    return static_cast<std::int32_t>(root + id);
  };
  std::int32_t leaves = 0;
  for (int i = 0; i < nodes; ++i) {
    const auto tree = static_cast<std::int64_t>(head.roots.size());
    if (tree_of[i] == tree && id_of[i] == 0) {
      head.roots.push_back(i);
    } else if (head.roots.empty() || tree_of[i] != tree - 1 || id_of[i] != i - head.roots.back()) {
      damaged("the nodes of its forest are out of order");
    }
    const std::int64_t root = head.roots.back();
    if (modes[i] == "LEAF") {
      head.feature.push_back(-1);
      head.threshold.push_back(0);
      head.left.push_back(leaves++);
      head.right.push_back(0);
      continue;
    }
    if (modes[i] != "BRANCH_LEQ") damaged("its forest has nodes of a kind that is not known here");
    if (features[i] < 0 || features[i] > INT32_MAX) damaged("its forest asks for a number that is not there");
    head.feature.push_back(static_cast<std::int32_t>(features[i]));
    head.threshold.push_back(values[i]);
    head.left.push_back(child(lefts[i], root));
    head.right.push_back(child(rights[i], root));
  }
  const auto& of_tree = attribute(node, "class_treeids").ints();
  const auto& of_node = attribute(node, "class_nodeids").ints();
  const auto& of_class = attribute(node, "class_ids").ints();
  const auto& weights = attribute(node, "class_weights").floats();
  if (of_node.size() != of_tree.size() || of_class.size() != of_tree.size() ||
      weights.size() != of_tree.size()) {
    damaged("its forest has arrays of different lengths");
  }
  // A leaf names at least one class: more leaves than weights cannot be, and would only ask for memory.
  if (leaves > weights.size() || static_cast<std::uint64_t>(leaves) * classes > (std::uint64_t{1} << 30)) {
    damaged("its forest has leaves without class shares");
  }
  head.leaves.assign(static_cast<std::size_t>(leaves) * classes, 0.0F);
  const auto trees = static_cast<float>(head.roots.size());
  for (int i = 0; i < of_tree.size(); ++i) {
    if (of_tree[i] < 0 || of_tree[i] >= static_cast<std::int64_t>(head.roots.size()) || of_class[i] < 0 ||
        of_class[i] >= static_cast<std::int64_t>(classes)) {
      damaged("its forest has class shares of no tree or class");
    }
    const std::int64_t root = head.roots[static_cast<std::size_t>(of_tree[i])];
    const auto at = static_cast<std::size_t>(child(of_node[i], root));
    if (head.feature[at] >= 0) damaged("its forest has class shares on a branch");
    head.leaves[static_cast<std::size_t>(head.left[at]) * classes + static_cast<std::size_t>(of_class[i])] =
        weights[i] * trees;
  }
  return head;
}

Target read_target(const onnx::ModelProto& proto, const Tensors& tensors, const json& object,
                   std::size_t index) {
  Target target;
  target.name = field<std::string>(object, "name");
  target.on = head_input(object);
  target.confident_threshold = field<double>(object, "confident_threshold");
  target.target_precision = field<double>(object, "target_precision");
  Classifier& classifier = target.classifier;
  classifier.kind = field<std::string>(object, "classifier");
  classifier.d = field<int>(object, "d", 1 << 24);
  if (const auto record = object.find("record"); record != object.end()) classifier.record = *record;
  const auto labels = object.find("labels");
  if (labels == object.end() || !labels->is_array()) damaged("a target has no labels");
  for (const json& label : *labels) {
    if (!label.is_string()) damaged("a label is not text");
    classifier.labels.push_back(label.get<std::string>());
  }
  if (const auto counts = object.find("counts"); counts != object.end() && counts->is_array()) {
    for (const json& count : *counts) {
      if (!count.is_number_unsigned()) damaged("a class count is not a number");
      target.counts.push_back(count.get<std::uint64_t>());
    }
  }
  const auto classes = static_cast<std::int64_t>(classifier.labels.size());
  const auto head = field<std::string>(object, "head");
  if (head == "linear") {
    LinearHead linear;
    linear.weights = tensors.read(names::weights(index), {classes, classifier.d});
    linear.bias = tensors.read(names::bias(index), {classes});
    classifier.head = std::move(linear);
  } else if (head == "forest") {
    classifier.head = read_forest(forest_node(proto.graph(), names::probabilities(index, target.name)),
                                  classifier.labels.size());
  } else {
    damaged("a head is `" + head + "`, neither linear nor forest");
  }
  return target;
}

Pca read_pca(const onnx::ModelProto& proto, const Tensors& tensors) {
  const json object = metadata(proto, names::kPca, json::value_t::object);
  const auto d = field<int>(object, "d", 1 << 24);
  const auto k = field<int>(object, "k", 1 << 24);
  const auto spectrum = object.find("spectrum");
  if (spectrum == object.end() || !spectrum->is_array()) damaged("its PCA has no spectrum");
  std::vector<double> values;
  for (const json& value : *spectrum) {
    if (!value.is_number()) damaged("its PCA's spectrum holds something that is no number");
    values.push_back(value.get<double>());
  }
  Pca pca = Pca::from_parts(field<std::uint64_t>(object, "n"), field<bool>(object, "center"),
                            tensors.read(names::kPcaMean, {d}), tensors.read(names::kPcaComponents, {k, d}),
                            std::move(values));
  if (const auto record = object.find("record"); record != object.end()) pca.record = *record;
  return pca;
}

UnknownDetector read_unknown(const onnx::ModelProto& proto, const Tensors& tensors) {
  const json object = metadata(proto, names::kUnknown, json::value_t::object);
  UnknownDetector detector;
  detector.on = head_input(object);
  detector.normalize = field<bool>(object, "normalize");
  detector.d = field<int>(object, "d", 1 << 24);
  detector.q = field<int>(object, "q", 1 << 24);
  detector.threshold = field<double>(object, "threshold");
  detector.accepted = field<double>(object, "accepted");
  if (field<bool>(object, "centred")) detector.mean = tensors.read(names::kUnknownMean, {detector.d});
  if (field<bool>(object, "whitened")) {
    detector.whitening = tensors.read(names::kUnknownWhitening, {detector.q, detector.d});
  }
  detector.centres = tensors.read(names::kUnknownCentres, {-1, detector.q});
  return detector;
}

void check_version(const onnx::ModelProto& proto) {
  const std::string version = onnx_metadata(proto, kFormatKey);
  if (version.empty() || !is_embedded(proto)) {
    throw Error(
        ErrorCode::kFormat,
        "an ONNX file, but not a model that Pomona trained: it says nothing of labels and preprocessing. "
        "`pomona train -o model.onnx` makes one; a bare network goes with --model");
  }
  int number = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size() || number < 1) {
    damaged("its format version is `" + version.substr(0, 40) + "`");
  }
  if (number > kModelFileVersion) {
    throw Error(
        ErrorCode::kFormat,
        fmt::format("a model file of format {}, newer than this program, which reads up to {}: update Pomona",
                    number, kModelFileVersion));
  }
}

ModelFile from_graph(OnnxModel proto) {
  check_version(*proto);
  for (const auto& tensor : proto->graph().initializer()) {
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
      damaged("the tensor `" + tensor.name() + "` lies in another file; a model is one file");
    }
  }
  const EmbeddedNetwork embedded = embedded_network(*proto);
  const json backbone = metadata(*proto, kBackboneKey, json::value_t::object);
  ModelFile model;
  model.name = onnx_metadata(*proto, names::kName);
  model.backbone.name = embedded.name;
  model.backbone.cut = embedded.cut;
  model.backbone.preprocess = embedded.preprocess;
  model.backbone.fingerprint = embedded.fingerprint;
  model.backbone.dimension = field<int>(backbone, "dimension", 1 << 24);
  const auto map = field<std::string>(backbone, "map");
  if (map != "flat" && map != "channels_first" && map != "channels_last") {
    damaged("its layer's layout is `" + map + "`");
  }
  model.backbone.map = map == "flat"             ? MapLayout::kFlat
                       : map == "channels_first" ? MapLayout::kChannelsFirst
                                                 : MapLayout::kChannelsLast;
  const Tensors tensors(proto->graph());
  if (!onnx_metadata(*proto, names::kPca).empty()) model.pca = read_pca(*proto, tensors);
  const json targets = metadata(*proto, names::kTargets, json::value_t::array);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    model.targets.push_back(read_target(*proto, tensors, targets[i], i));
  }
  if (!onnx_metadata(*proto, names::kUnknown).empty()) model.unknown = read_unknown(*proto, tensors);
  model.training = metadata(*proto, names::kTraining, json::value_t::object);
  model.card = metadata(*proto, names::kCard, json::value_t::object);
  model.backbone.graph = std::move(proto);
  try {
    check_model_file(model);
  } catch (const Error& error) {
    damaged(error.what());
  }
  return model;
}

template <typename Read>
ModelFile naming(const std::string& name, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find(name) != std::string::npos) throw;
    throw Error(error.code(), name + ": " + message);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kFormat, name + ": damaged model file: " + error.what());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kFormat, name + ": the model needs more memory than there is");
  }
}

}  // namespace

ModelFile parse_model_file(std::string_view bytes, const std::string& name) {
  return naming(name, [&] {
    ModelFile model = from_graph(parse_onnx(bytes));
    model.sha256 = sha256_hex(bytes);
    return model;
  });
}

ModelFile read_model_file(const std::filesystem::path& file) {
  return naming(file.string(), [&] {
    std::error_code error;
    if (std::filesystem::is_directory(file, error)) {
      throw Error(ErrorCode::kFormat, "a folder, not a model file");
    }
    const std::string bytes = read_file(file);
    ModelFile model = from_graph(
        parse_onnx(bytes, file.has_parent_path() ? file.parent_path() : std::filesystem::path(".")));
    model.sha256 = sha256_hex(bytes);
    model.file = file;
    return model;
  });
}

bool is_model_file(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error) || file.extension() != ".onnx") return false;
  try {
    return is_embedded(*load_onnx(file));
  } catch (const Error&) {
    return false;
  }
}

}  // namespace pomona
