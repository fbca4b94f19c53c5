// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/quantize.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "pomona/base/error.h"
#include "pomona/model/network.h"
#include "pomona/model/tiny_network.h"

namespace pomona {
namespace {

using testing::add_node;
using testing::fill;
using ::testing::HasSubstr;
using testing::tiny_network;
using testing::write_onnx;

constexpr int kSize = 32;
constexpr int kPhotos = 12;

// conv 3 x 3 on the photo -> ReLU -> conv 1 x 1 without a bias -> depthwise 3 x 3 -> ReLU -> conv 1 x 1 ->
// pool.
onnx::ModelProto block_network() {
  onnx::ModelProto model = tiny_network();
  onnx::GraphProto& graph = *model.mutable_graph();
  const std::string map = "map";
  fill(*graph.add_initializer(), "expand.w", {24, 8, 1, 1});
  fill(*graph.add_initializer(), "depth.w", {24, 1, 3, 3});
  fill(*graph.add_initializer(), "project.w", {16, 24, 1, 1});
  fill(*graph.add_initializer(), "project.b", {16});
  add_node(graph, "Conv", {map, "expand.w"}, "expand");
  onnx::NodeProto& depthwise = add_node(graph, "Conv", {"expand", "depth.w"}, "depth");
  onnx::AttributeProto& group = *depthwise.add_attribute();
  group.set_name("group");
  group.set_type(onnx::AttributeProto::INT);
  group.set_i(24);
  add_node(graph, "Relu", {"depth"}, "depth.relu");
  add_node(graph, "Conv", {"depth.relu", "project.w", "project.b"}, "project");
  graph.add_output()->set_name("project");
  return model;
}

std::vector<std::uint8_t> photos() {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(kPhotos) * kSize * kSize * 3);
  std::mt19937 random(3);
  for (std::size_t at = 0; at < pixels.size(); ++at) {
    pixels[at] = static_cast<std::uint8_t>((at / 96 + random() % 64) % 256);
  }
  return pixels;
}

PreprocessSpec spec() {
  PreprocessSpec spec = preprocess_spec("tf");
  spec.width = spec.height = kSize;
  return spec;
}

std::vector<float> features(const onnx::ModelProto& model, const std::string& name) {
  NetworkOptions options;
  options.model = write_onnx(model, name).string();
  options.preprocess = "tf";
  options.precision = Precision::kF32;
  options.input_size = kSize;
  options.batch = 1;
  options.streams = 1;
  options.layer = "project";
  options.compile_cache = false;
  InferLane lane = Network::load(options).make_lane();
  const std::vector<std::uint8_t> pixels = photos();
  std::vector<float> all;
  for (int photo = 0; photo < kPhotos; ++photo) {
    const std::size_t bytes = pixels.size() / kPhotos;
    std::ranges::copy(std::span(pixels).subspan(static_cast<std::size_t>(photo) * bytes, bytes),
                      lane.pixels(0).begin());
    lane.infer();
    const auto vector = lane.features(0);
    all.insert(all.end(), vector.begin(), vector.end());
  }
  return all;
}

onnx::TensorProto::DataType type_of(const onnx::ModelProto& model, const std::string& name) {
  for (const auto& tensor : model.graph().initializer()) {
    if (tensor.name() == name) return static_cast<onnx::TensorProto::DataType>(tensor.data_type());
  }
  return onnx::TensorProto::UNDEFINED;
}

TEST(Quantize, DenseConvolutionsBecomeIntegersAndTheAnswerStaysClose) {
  const onnx::ModelProto plain = block_network();
  const QuantizedNetwork quantized = quantize_network(plain, spec(), photos(), {});
  EXPECT_EQ(quantized.convolutions, 4);
  EXPECT_EQ(quantized.quantized, 2);
  EXPECT_EQ(type_of(*quantized.model, "expand.w"), onnx::TensorProto::INT8);
  EXPECT_EQ(type_of(*quantized.model, "project.w"), onnx::TensorProto::INT8);
  EXPECT_EQ(type_of(*quantized.model, "depth.w"), onnx::TensorProto::FLOAT);
  EXPECT_EQ(type_of(*quantized.model, "project.b"),
            onnx::TensorProto::UNDEFINED);  // corrected, under a new name

  const std::vector<float> exact = features(plain, "plain.onnx"),
                           rounded = features(*quantized.model, "int8.onnx");
  ASSERT_EQ(exact.size(), rounded.size());
  const double product = std::inner_product(exact.begin(), exact.end(), rounded.begin(), 0.0);
  const double a = std::inner_product(exact.begin(), exact.end(), exact.begin(), 0.0);
  const double b = std::inner_product(rounded.begin(), rounded.end(), rounded.begin(), 0.0);
  EXPECT_GT(product / std::sqrt(a * b), 0.999);
  EXPECT_NE(exact, rounded);

  // Over the photos the ranges were chosen by, no channel is shifted: the bias took it off.
  const std::size_t d = exact.size() / kPhotos;
  const double typical = std::sqrt(a / static_cast<double>(exact.size()));
  for (std::size_t channel = 0; channel < d; ++channel) {
    double shift = 0;
    for (std::size_t at = channel; at < exact.size(); at += d) shift += exact[at] - rounded[at];
    EXPECT_LT(std::abs(shift / kPhotos), 1e-3 * typical) << "channel " << channel;
  }
}

TEST(Quantize, WeightsThatSeveralNodesReadStayAsTheyAre) {
  onnx::ModelProto shared = block_network();
  onnx::GraphProto& graph = *shared.mutable_graph();
  fill(*graph.add_initializer(), "twin.w", {16, 16, 1, 1});
  add_node(graph, "Conv", {"project", "twin.w"}, "first");
  add_node(graph, "Conv", {"first", "twin.w"}, "second");
  graph.add_output()->set_name("second");
  const QuantizedNetwork quantized = quantize_network(shared, spec(), photos(), {});
  EXPECT_EQ(quantized.quantized, 2);
  EXPECT_EQ(type_of(*quantized.model, "twin.w"), onnx::TensorProto::FLOAT);
  EXPECT_EQ(features(*quantized.model, "twins.onnx").size(), static_cast<std::size_t>(kPhotos) * 16);
}

TEST(Quantize, WhatCannotBeDoneIsSaid) {
  onnx::ModelProto old = block_network();
  old.mutable_opset_import(0)->set_version(11);
  try {
    quantize_network(old, spec(), photos(), {});
    FAIL() << "opset 11 was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("opset is 11"));
  }
  try {
    quantize_network(tiny_network(), spec(), photos(), {});  // its only convolution takes the photo itself
    FAIL() << "there was nothing to quantize";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
  EXPECT_THROW(quantize_network(block_network(), spec(), {}, {}), Error);
}

}  // namespace
}  // namespace pomona
