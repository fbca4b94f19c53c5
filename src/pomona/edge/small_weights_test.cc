// SPDX-License-Identifier: Apache-2.0
#include "pomona/edge/small_weights.h"

#include <gmock/gmock.h>
#include <onnx/onnx_pb.h>

#include <vector>

#include "pomona/base/error.h"

namespace pomona {
namespace {

onnx::ModelProto model_with(const std::string& name, const std::vector<float>& values,
                            std::vector<std::int64_t> shape) {
  onnx::ModelProto model;
  onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t side : shape) tensor.add_dims(side);
  tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  return model;
}

std::vector<float> ramp(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) / 97.0F - 3.0F;
  return values;
}

TEST(SmallWeights, HalvesTakeHalfTheBytesAndANodeTurnsThemBack) {
  onnx::ModelProto model = model_with("w", ramp(512), {2, 256});
  store_weights(model, WeightStorage::kFloat16);
  const onnx::GraphProto& graph = model.graph();
  ASSERT_EQ(graph.initializer_size(), 1);
  EXPECT_EQ(graph.initializer(0).data_type(), onnx::TensorProto::FLOAT16);
  EXPECT_EQ(graph.initializer(0).raw_data().size(), 1024U);
  ASSERT_EQ(graph.node_size(), 1);
  EXPECT_EQ(graph.node(0).op_type(), "Cast");
  EXPECT_EQ(graph.node(0).input(0), graph.initializer(0).name());
  EXPECT_EQ(graph.node(0).output(0), "w");
}

TEST(SmallWeights, WhatHalvesCannotHoldStaysAsItIs) {
  std::vector<float> large = ramp(512);
  large[7] = 1e6F;
  onnx::ModelProto model = model_with("w", large, {2, 256});
  store_weights(model, WeightStorage::kFloat16);
  EXPECT_EQ(model.graph().initializer(0).data_type(), onnx::TensorProto::FLOAT);
  EXPECT_EQ(model.graph().node_size(), 0);

  std::vector<float> tiny(512);
  for (std::size_t i = 0; i < tiny.size(); ++i) tiny[i] = 1e-7F * static_cast<float>(i + 1);
  model = model_with("w", tiny, {2, 256});
  store_weights(model, WeightStorage::kFloat16);
  EXPECT_EQ(model.graph().initializer(0).data_type(), onnx::TensorProto::FLOAT);
}

TEST(SmallWeights, EightBitsCarryAScalePerChannel) {
  std::vector<float> values = ramp(512);
  for (std::size_t i = 256; i < 512; ++i) values[i] *= 1000;
  onnx::ModelProto model = model_with("w", values, {2, 256});
  store_weights(model, WeightStorage::kInt8);
  const onnx::GraphProto& graph = model.graph();
  ASSERT_EQ(graph.initializer_size(), 2);
  EXPECT_EQ(graph.initializer(0).data_type(), onnx::TensorProto::INT8);
  EXPECT_EQ(graph.initializer(0).raw_data().size(), 512U);
  EXPECT_EQ(graph.initializer(1).dims(0), 2);
  ASSERT_EQ(graph.node_size(), 2);
  EXPECT_EQ(graph.node(1).op_type(), "Mul");
  EXPECT_EQ(graph.node(1).output(0), "w");
}

TEST(SmallWeights, SmallTensorsAndDistancesStayExact) {
  onnx::ModelProto model = model_with("w", ramp(64), {64});
  store_weights(model, WeightStorage::kFloat16);
  EXPECT_EQ(model.graph().initializer(0).data_type(), onnx::TensorProto::FLOAT);
  model = model_with("pomona/unknown/whitening", ramp(1024), {32, 32});
  store_weights(model, WeightStorage::kInt8);
  EXPECT_EQ(model.graph().initializer(0).data_type(), onnx::TensorProto::FLOAT);
}

TEST(SmallWeights, UnknownStorageIsNamed) {
  EXPECT_EQ(parse_weight_storage("int8"), WeightStorage::kInt8);
  EXPECT_THROW(parse_weight_storage("int4"), Error);
}

}  // namespace
}  // namespace pomona
