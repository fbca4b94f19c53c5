// SPDX-License-Identifier: Apache-2.0
#include "pomona/modelfile/graph_builder.h"

#include <onnx/onnx_pb.h>

#include <algorithm>

#include "pomona/base/error.h"
#include "pomona/learn/classifier.h"

namespace pomona {
namespace {

constexpr const char* kMlDomain = "ai.onnx.ml";

onnx::AttributeProto& attribute(onnx::NodeProto& node, const char* name,
                                onnx::AttributeProto::AttributeType type) {
  auto& added = *node.add_attribute();
  added.set_name(name);
  added.set_type(type);
  return added;
}

void set_int(onnx::NodeProto& node, const char* name, std::int64_t value) {
  attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

google::protobuf::RepeatedField<std::int64_t>& set_ints(onnx::NodeProto& node, const char* name) {
  return *attribute(node, name, onnx::AttributeProto::INTS).mutable_ints();
}

google::protobuf::RepeatedField<float>& set_floats(onnx::NodeProto& node, const char* name) {
  return *attribute(node, name, onnx::AttributeProto::FLOATS).mutable_floats();
}

}  // namespace

GraphBuilder::GraphBuilder(onnx::ModelProto& model) : model_(model) {
  for (const auto& import : model.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") opset_ = import.version();
  }
  if (opset_ < 7) {
    throw Error(ErrorCode::kUnavailable, "the network is written in ONNX opset " + std::to_string(opset_) +
                                             ", older than 7, which heads cannot be added to: convert it "
                                             "(onnx.version_converter), make the features again and train");
  }
  // Since version 4 an initializer need not be an input too.
  model.set_ir_version(std::max<std::int64_t>(model.ir_version(), 4));
}

void GraphBuilder::floats(const std::string& name, std::span<const float> values,
                          const std::vector<std::int64_t>& shape) {
  auto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t side : shape) tensor.add_dims(side);
  tensor.set_raw_data(values.data(), values.size_bytes());
}

void GraphBuilder::integers(const std::string& name, std::vector<std::int64_t> values) {
  auto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  tensor.set_raw_data(values.data(), values.size() * sizeof(std::int64_t));
}

onnx::NodeProto& GraphBuilder::node(const std::string& type, const std::vector<std::string>& inputs,
                                    const std::string& output) {
  auto& added = *model_.mutable_graph()->add_node();
  added.set_op_type(type);
  added.set_name("pomona/" + output);
  for (const std::string& input : inputs) added.add_input(input);
  added.add_output(output);
  return added;
}

void GraphBuilder::reduce(const std::string& type, const std::string& input, std::int64_t axis,
                          const std::string& output) {
  const bool as_input = opset_ >= (type == "ReduceSum" ? 13 : 18);
  std::vector<std::string> inputs = {input};
  if (as_input) {
    inputs.push_back(output + "/axes");
    integers(inputs.back(), {axis});
  }
  auto& added = node(type, inputs, output);
  if (!as_input) set_ints(added, "axes").Add(axis);
  set_int(added, "keepdims", 0);
}

void GraphBuilder::dense(const std::string& input, const std::string& weights, const std::string& bias,
                         const std::string& output) {
  set_int(node("Gemm", {input, weights, bias}, output), "transB", 1);
}

void GraphBuilder::forest(const std::string& input, const ForestHead& head, int classes,
                          const std::string& label, const std::string& scores) {
  auto& added = node("TreeEnsembleClassifier", {input}, label);
  added.set_domain(kMlDomain);
  added.add_output(scores);
  const bool imported = std::ranges::any_of(model_.opset_import(),
                                            [](const auto& import) { return import.domain() == kMlDomain; });
  if (!imported) {
    auto& import = *model_.add_opset_import();
    import.set_domain(kMlDomain);
    import.set_version(3);
  }

  const std::size_t nodes = head.feature.size();
  const auto width = static_cast<std::size_t>(classes);
  const auto trees = static_cast<float>(head.roots.size());
  // Fields move when attributes are added: one after the other.
  const auto per_node = [&](const char* name, const auto& value) {
    auto& field = set_ints(added, name);
    field.Reserve(static_cast<int>(nodes));
    for (std::size_t tree = 0; tree < head.roots.size(); ++tree) {
      const auto first = static_cast<std::size_t>(head.roots[tree]);
      const std::size_t end =
          tree + 1 < head.roots.size() ? static_cast<std::size_t>(head.roots[tree + 1]) : nodes;
      for (std::size_t i = first; i < end; ++i) field.Add(value(tree, first, i));
    }
  };
  const auto leaf = [&](std::size_t i) { return head.feature[i] < 0; };
  per_node("nodes_treeids",
           [&](std::size_t tree, std::size_t, std::size_t) { return static_cast<std::int64_t>(tree); });
  per_node("nodes_nodeids", [&](std::size_t, std::size_t first, std::size_t i) {
    return static_cast<std::int64_t>(i - first);
  });
  per_node("nodes_featureids", [&](std::size_t, std::size_t, std::size_t i) {
    return leaf(i) ? std::int64_t{0} : head.feature[i];
  });
  per_node("nodes_truenodeids", [&](std::size_t, std::size_t first, std::size_t i) {
    return leaf(i) ? std::int64_t{0} : head.left[i] - static_cast<std::int64_t>(first);
  });
  per_node("nodes_falsenodeids", [&](std::size_t, std::size_t first, std::size_t i) {
    return leaf(i) ? std::int64_t{0} : head.right[i] - static_cast<std::int64_t>(first);
  });
  auto& values = set_floats(added, "nodes_values");
  for (std::size_t i = 0; i < nodes; ++i) values.Add(leaf(i) ? 0.0F : head.threshold[i]);
  auto& modes = *attribute(added, "nodes_modes", onnx::AttributeProto::STRINGS).mutable_strings();
  for (std::size_t i = 0; i < nodes; ++i) modes.Add(leaf(i) ? "LEAF" : "BRANCH_LEQ");

  // The first leaf names every class, also those it has no share of: ONNX Runtime takes a forest in which
  // only one of two classes occurs for another kind.
  std::vector<std::int64_t> of_tree, of_node, of_class;
  std::vector<float> weight;
  std::size_t tree = 0;
  for (std::size_t i = 0; i < nodes; ++i) {
    if (tree + 1 < head.roots.size() && static_cast<std::int64_t>(i) >= head.roots[tree + 1]) ++tree;
    if (!leaf(i)) continue;
    const float* row = head.leaves.data() + static_cast<std::size_t>(head.left[i]) * width;
    const bool all = weight.empty();
    for (std::size_t c = 0; c < width; ++c) {
      if (!all && row[c] == 0) continue;
      of_tree.push_back(static_cast<std::int64_t>(tree));
      of_node.push_back(static_cast<std::int64_t>(i) - head.roots[tree]);
      of_class.push_back(static_cast<std::int64_t>(c));
      weight.push_back(row[c] / trees);
    }
  }
  set_ints(added, "class_treeids").Add(of_tree.begin(), of_tree.end());
  set_ints(added, "class_nodeids").Add(of_node.begin(), of_node.end());
  set_ints(added, "class_ids").Add(of_class.begin(), of_class.end());
  set_floats(added, "class_weights").Add(weight.begin(), weight.end());
  auto& labels = set_ints(added, "classlabels_int64s");
  for (int c = 0; c < classes; ++c) labels.Add(c);
  attribute(added, "post_transform", onnx::AttributeProto::STRING).set_s("NONE");
}

void GraphBuilder::output(const std::string& name, bool integer, const std::vector<std::int64_t>& shape) {
  auto& value = *model_.mutable_graph()->add_output();
  value.set_name(name);
  auto& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(integer ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
  for (const std::int64_t side : shape) {
    auto& dim = *type.mutable_shape()->add_dim();
    if (side < 0) {
      dim.set_dim_param("N");
    } else {
      dim.set_dim_value(side);
    }
  }
}

}  // namespace pomona
