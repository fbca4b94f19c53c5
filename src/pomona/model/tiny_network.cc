// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/tiny_network.h"

#include <cmath>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace pomona::testing {
namespace {

void describe(onnx::ValueInfoProto& value, const std::string& name,
              std::initializer_list<std::int64_t> sides) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx::TensorProto::FLOAT);
  int free = 0;
  for (const std::int64_t length : sides) {
    auto& dim = *tensor.mutable_shape()->add_dim();
    if (length < 0) {
      dim.set_dim_param("free" + std::to_string(free++));
    } else {
      dim.set_dim_value(length);
    }
  }
}

void add_ints(onnx::NodeProto& node, const std::string& name, std::initializer_list<std::int64_t> values) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

}  // namespace

void fill(onnx::TensorProto& tensor, const std::string& name, std::initializer_list<std::int64_t> shape) {
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  std::int64_t count = 1;
  for (const std::int64_t side : shape) {
    tensor.add_dims(side);
    count *= side;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    tensor.add_float_data(static_cast<float>(std::sin(static_cast<double>(i) * 0.7 + 0.3)) * 0.3F);
  }
}

onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& type,
                          std::initializer_list<std::string> inputs, const std::string& output) {
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(type);
  node.set_name(output);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(output);
  return node;
}

onnx::ModelProto tiny_network() {
  onnx::ModelProto model;
  model.set_ir_version(7);
  model.add_opset_import()->set_version(13);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("tiny");
  describe(*graph.add_input(), "input", {-1, 3, -1, -1});
  describe(*graph.add_output(), "probabilities", {-1, 5});
  fill(*graph.add_initializer(), "conv.weight", {8, 3, 3, 3});
  fill(*graph.add_initializer(), "dense.weight", {8, 5});
  fill(*graph.add_initializer(), "dense.bias", {5});
  onnx::NodeProto& conv = add_node(graph, "Conv", {"input", "conv.weight"}, "conv");
  add_ints(conv, "kernel_shape", {3, 3});
  add_ints(conv, "strides", {2, 2});
  add_ints(conv, "pads", {1, 1, 1, 1});
  add_node(graph, "Relu", {"conv"}, "map");
  add_node(graph, "GlobalAveragePool", {"map"}, "pool");
  add_node(graph, "Flatten", {"pool"}, "features");
  add_node(graph, "Gemm", {"features", "dense.weight", "dense.bias"}, "logits");
  add_node(graph, "Softmax", {"logits"}, "probabilities");
  return model;
}

std::filesystem::path write_onnx(const onnx::ModelProto& model, const std::string& name) {
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / ("pomona-model-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::filesystem::path file = folder / name;
  std::ofstream out(file, std::ios::binary);
  model.SerializeToOstream(&out);
  return file;
}

}  // namespace pomona::testing
