// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include <onnx/onnx_pb.h>

namespace pomona::testing {

// A small convolutional classifier for tests: input (N, 3, H, W); conv 3 x 3 stride 2, ReLU -> `map`; global
// average -> `pool`; flatten -> `features` (8); dense -> `logits` (5); softmax -> `probabilities`.
onnx::ModelProto tiny_network();

// Writes `model` to a new file below the test's temporary folder.
std::filesystem::path write_onnx(const onnx::ModelProto& model, const std::string& name);

// A float tensor with small values that differ from place to place.
void fill(onnx::TensorProto& tensor, const std::string& name, std::initializer_list<std::int64_t> shape);

onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& type,
                          std::initializer_list<std::string> inputs, const std::string& output);

}  // namespace pomona::testing
