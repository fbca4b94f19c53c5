// SPDX-License-Identifier: Apache-2.0
#include "pomona/int8/integer_network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "pomona/base/error.h"
#include "pomona/int8/mobile_chain.h"
#include "pomona/model/network.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/model/quantize.h"
#include "pomona/model/tiny_network.h"

namespace pomona {
namespace {

using testing::add_node;
using ::testing::HasSubstr;
using testing::write_onnx;

struct BlockPlan {
  int expand = 0;  // channels between; 0 = none, in the first block
  int kernel = 3;
  int stride = 1;
  int project = 0;  // channels; 0 = none: the next block expands what the depthwise convolution gives
};

struct Plan {
  int stem = 32;
  std::string padding = "SAME_UPPER";  // or explicit pads before or behind
  std::vector<BlockPlan> blocks = {{0, 3, 1, 16}, {48, 3, 2, 24}, {96, 5, 1, 24}, {64, 5, 2, 40}};
  int head = 72;
};

// A network of the MobileNet kind in float32 with random weights, and the names its parts have.
class Builder {
 public:
  explicit Builder(const Plan& plan) {
    model_ = testing::tiny_network();  // for its head lines
    graph_ = model_.mutable_graph();
    graph_->clear_node();
    graph_->clear_initializer();
    scalar("zero", 0);
    scalar("six", 6);
    std::string x = convolution("input", "stem", plan.stem, 3, 3, 2, false, plan.padding);
    x = clip(x);
    int channels = plan.stem;
    std::string input;
    int input_channels = 0;
    for (std::size_t at = 0; at < plan.blocks.size(); ++at) {
      const BlockPlan& block = plan.blocks[at];
      const std::string name = "block" + std::to_string(at);
      if (block.expand > 0) {
        x = clip(convolution(x, name + ".expand", block.expand, channels, 1, 1, false, plan.padding));
        channels = block.expand;
      }
      x = clip(convolution(x, name + ".depthwise", channels, channels, block.kernel, block.stride, true,
                           plan.padding));
      if (block.project == 0) {
        input.clear();
        continue;
      }
      x = convolution(x, name + ".project", block.project, channels, 1, 1, false, plan.padding);
      channels = block.project;
      if (!input.empty() && input_channels == channels && block.stride == 1) {
        add_node(*graph_, "Add", {input, x}, name + ".add");
        x = name + ".add";
      }
      input = x;
      input_channels = channels;
    }
    x = clip(convolution(x, "head", plan.head, channels, 1, 1, false, plan.padding));
    add_node(*graph_, "GlobalAveragePool", {x}, "pool");
    add_node(*graph_, "Flatten", {"pool"}, "features");
    graph_->clear_output();
    graph_->add_output()->set_name("features");
  }

  onnx::ModelProto model() const { return model_; }

 private:
  void scalar(const std::string& name, float value) {
    onnx::TensorProto& tensor = *graph_->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_float_data(value);
  }

  std::string clip(const std::string& x) {
    add_node(*graph_, "Clip", {x, "zero", "six"}, x + ".relu6");
    return x + ".relu6";
  }

  void values(const std::string& name, const std::vector<int>& sides, float deviation, float mean) {
    onnx::TensorProto& tensor = *graph_->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    int count = 1;
    for (const int side : sides) tensor.add_dims(side), count *= side;
    std::normal_distribution<float> normal(mean, deviation);
    for (int at = 0; at < count; ++at) tensor.add_float_data(normal(random_));
  }

  static void ints(onnx::NodeProto& node, const std::string& name, const std::vector<int>& values) {
    auto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INTS);
    for (const int value : values) attribute.add_ints(value);
  }

  std::string convolution(const std::string& x, const std::string& name, int out, int in, int kernel,
                          int stride, bool depthwise, const std::string& padding) {
    const int fan = depthwise ? kernel * kernel : in * kernel * kernel;
    values(name + ".weight", {out, depthwise ? 1 : in, kernel, kernel},
           std::sqrt(2.0F / static_cast<float>(fan)), 0);
    values(name + ".bias", {out}, 0.5F, 0.6F);
    onnx::NodeProto& node = add_node(*graph_, "Conv", {x, name + ".weight", name + ".bias"}, name);
    ints(node, "strides", {stride, stride});
    auto& group = *node.add_attribute();
    group.set_name("group");
    group.set_type(onnx::AttributeProto::INT);
    group.set_i(depthwise ? out : 1);
    const int before = padding == "behind" && stride == 2 ? 0 : kernel / 2;
    const int behind = padding == "before" && stride == 2 ? 0 : kernel / 2;
    if (padding == "SAME_UPPER") {
      auto& pad = *node.add_attribute();
      pad.set_name("auto_pad");
      pad.set_type(onnx::AttributeProto::STRING);
      pad.set_s(padding);
    } else {
      ints(node, "pads", {before, before, behind, behind});
    }
    return name;
  }

  onnx::ModelProto model_;
  onnx::GraphProto* graph_ = nullptr;
  std::mt19937 random_{7};
};

// Smooth photos with some noise, as photos are.
std::vector<std::uint8_t> photos(int count, int size) {
  std::vector<std::uint8_t> pixels;
  std::mt19937 random(11);
  for (int photo = 0; photo < count; ++photo) {
    const float slope = static_cast<float>(random() % 100) / 25, phase = static_cast<float>(random() % 100);
    for (int y = 0; y < size; ++y) {
      for (int x = 0; x < size * 3; ++x) {
        const float wave =
            110 * std::sin((static_cast<float>(x) * slope + static_cast<float>(y) * 3 + phase) /
                           static_cast<float>(size));
        pixels.push_back(static_cast<std::uint8_t>(128 + wave + static_cast<float>(random() % 16)));
      }
    }
  }
  return pixels;
}

PreprocessSpec spec_of(int size, const std::string& mode) {
  PreprocessSpec spec = preprocess_spec(mode);
  spec.width = spec.height = size;
  return spec;
}

NetworkOptions options_of(const std::filesystem::path& file, int size, const std::string& mode,
                          Precision precision, int batch) {
  NetworkOptions options;
  options.model = file.string();
  options.preprocess = mode;
  options.layer = "features";
  options.input_size = size;
  options.precision = precision;
  options.batch = batch;
  options.streams = 1;
  options.compile_cache = false;
  return options;
}

std::vector<float> features(const Network& network, const std::vector<std::uint8_t>& pixels) {
  InferLane lane = network.make_lane();
  const std::size_t each = lane.pixels(0).size(), count = pixels.size() / each;
  std::vector<float> all;
  for (std::size_t first = 0; first < count;) {
    const std::size_t filled = std::min(count - first, static_cast<std::size_t>(network.batch()));
    for (std::size_t slot = 0; slot < filled; ++slot) {
      std::ranges::copy(std::span(pixels).subspan((first + slot) * each, each),
                        lane.pixels(static_cast<int>(slot)).begin());
    }
    lane.infer();
    for (std::size_t slot = 0; slot < filled; ++slot) {
      const auto vector = lane.features(static_cast<int>(slot));
      all.insert(all.end(), vector.begin(), vector.end());
    }
    first += filled;
  }
  return all;
}

class Case {
 public:
  std::string name;
  Plan plan;
  int size = 64;
  std::string mode = "tf";
};

std::vector<Case> cases() {
  std::vector<Case> all = {{"Usual", {}, 64, "tf"},
                           {"OddSize", {}, 61, "lite"},
                           {"SmallerThanARegister", {}, 16, "torch"},
                           {"ColoursTheOtherWayRound", {}, 48, "caffe"}};
  Plan before;
  before.padding = "before";
  all.push_back({"ZerosBefore", before, 56, "tf"});
  Plan behind;
  behind.padding = "behind";
  all.push_back({"ZerosBehind", behind, 50, "tf"});
  Plan plain;  // MobileNet V1
  plain.blocks = {{0, 3, 1, 0}, {64, 3, 2, 0}, {80, 3, 1, 0}, {96, 5, 2, 0}};
  all.push_back({"WithoutLinearLayers", plain, 64, "tf"});
  Plan odd;  // channels that fill no register
  odd.stem = 20;
  odd.blocks = {{0, 3, 2, 7}, {37, 3, 1, 7}, {41, 5, 1, 7}, {50, 3, 1, 100}};
  odd.head = 33;
  all.push_back({"OddChannels", odd, 40, "tf"});
  Plan wide;  // more than a strip
  wide.stem = 96;
  wide.blocks = {{0, 5, 1, 16}, {160, 3, 1, 16}, {160, 5, 2, 16}, {128, 3, 2, 16}};
  all.push_back({"ManyStrips", wide, 230, "tf"});
  return all;
}

class Integers : public ::testing::TestWithParam<Case> {};

// The oracle is OpenVINO on the same file in float32: it keeps the bytes of 1 x 1 convolutions, and
// everything else in floating point.
TEST_P(Integers, AreCloseToTheSameNetworkInFloatingPoint) {
  if (!IntegerNetwork::runs_here()) GTEST_SKIP() << "this CPU has no AVX2 with FMA";
  const Case& one = GetParam();
  const auto pixels = photos(6, one.size);
  const QuantizedNetwork quantized =
      quantize_network(Builder(one.plan).model(), spec_of(one.size, one.mode), pixels, {});
  const auto file = write_onnx(*quantized.model, one.name + ".onnx");
  const Network floating = Network::load(options_of(file, one.size, one.mode, Precision::kF32, 1));
  const Network integers = Network::load(options_of(file, one.size, one.mode, Precision::kAuto, 4));
  ASSERT_EQ(integers.fingerprint().precision, "int8");
  EXPECT_EQ(integers.fingerprint().identity, floating.fingerprint().identity);
  EXPECT_EQ(integers.dimension(), floating.dimension());
  const auto expected = features(floating, pixels), found = features(integers, pixels);
  ASSERT_EQ(found.size(), expected.size());
  double square = 0, error = 0;
  for (std::size_t at = 0; at < found.size(); ++at) {
    square += expected[at] * expected[at];
    error += (found[at] - expected[at]) * (found[at] - expected[at]);
  }
  EXPECT_LT(std::sqrt(error / square), 0.012);
  // To the bit, whatever is beside a photo and wherever it stands.
  const Network alone = Network::load(options_of(file, one.size, one.mode, Precision::kInt8, 1));
  EXPECT_EQ(features(alone, pixels), found);
}

// A cluster of several kinds of machines gives one answer.
TEST_P(Integers, AreTheSameBitsWithAllInstructions) {
  using enum IntegerNetwork::Instructions;
  if (!IntegerNetwork::runs_here(kAvx512Vnni)) GTEST_SKIP() << "this CPU has no AVX-512 with VNNI";
  if (!IntegerNetwork::runs_here(kAvx2)) GTEST_SKIP() << "this CPU has no AVX2 with FMA";
  const Case& one = GetParam();
  const PreprocessSpec spec = spec_of(one.size, one.mode);
  const auto model = quantize_network(Builder(one.plan).model(), spec, photos(1, one.size), {}).model;
  // Noise leaves the ranges that photos chose, so that everything that can saturate does.
  std::vector<std::uint8_t> pixels = photos(3, one.size);
  std::mt19937 random(5);
  std::generate_n(pixels.begin(), pixels.size() / 3, [&] { return static_cast<std::uint8_t>(random()); });
  const auto features = [&](IntegerNetwork::Instructions with) {
    const auto network = IntegerNetwork::make(*model, "features", false,
                                              {spec.width, spec.height, spec.bgr, spec.mean, spec.std}, with);
    if (!network) throw std::runtime_error(network.error());
    std::vector<float> vectors(3 * static_cast<std::size_t>(network->dimension()));
    auto scratch = network->make_scratch(3);
    network->infer(pixels, 3, scratch, vectors);
    return vectors;
  };
  const std::vector<float> expected = features(kAvx512Vnni), found = features(kAvx2);
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_GT(std::ranges::max(expected), 0);
  EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Integers, ::testing::ValuesIn(cases()),
                         [](const auto& one) { return one.param.name; });

TEST(IntegerNetworks, AreNotTakenForWhatTheyAreNot) {
  const auto pixels = photos(4, 32);
  const onnx::ModelProto sound =
      *quantize_network(Builder(Plan{}).model(), spec_of(32, "tf"), pixels, {}).model;
  ASSERT_TRUE(read_mobile_chain(sound.graph(), "features", false, 32, 32));
  EXPECT_TRUE(read_mobile_chain(sound.graph(), "features", false, 32, 32)->flat);
  EXPECT_FALSE(read_mobile_chain(sound.graph(), "pool", false, 32, 32)->flat);
  EXPECT_TRUE(read_mobile_chain(sound.graph(), "head.relu6", true, 32, 32));

  const auto why = [](const onnx::ModelProto& model, const std::string& tensor = "features") {
    const auto chain = read_mobile_chain(model.graph(), tensor, false, 32, 32);
    return chain ? "taken" : chain.error();
  };
  const auto changed = [&](const std::function<void(onnx::GraphProto&)>& change) {
    onnx::ModelProto model = sound;
    change(*model.mutable_graph());
    return why(model);
  };
  const auto stored = [](onnx::GraphProto& graph, const std::string& name) -> onnx::TensorProto& {
    return *std::ranges::find_if(*graph.mutable_initializer(),
                                 [&](const auto& one) { return one.name() == name; });
  };
  const auto node = [](onnx::GraphProto& graph, const std::string& name) -> onnx::NodeProto& {
    return *std::ranges::find_if(*graph.mutable_node(),
                                 [&](const auto& one) { return one.output(0) == name; });
  };
  EXPECT_THAT(why(Builder(Plan{}).model()), HasSubstr("QuantizeLinear"));
  EXPECT_THAT(why(testing::tiny_network()), HasSubstr("Clip"));
  EXPECT_NE(why(sound, "block1.add"), "taken");
  EXPECT_NE(why(sound, "head.relu6"), "taken") << "the map itself, not its average";
  EXPECT_THAT(changed([&](auto& graph) { stored(graph, "six").set_float_data(0, 1); }), HasSubstr("0 and 6"));
  EXPECT_THAT(changed([&](auto& graph) { stored(graph, "stem.bias").add_float_data(1); }), HasSubstr("size"));
  EXPECT_THAT(changed([&](auto& graph) { stored(graph, "stem.bias").set_float_data(0, NAN); }),
              HasSubstr("finite"));
  EXPECT_THAT(changed([&](auto& graph) { node(graph, "block1.depthwise").set_op_type("ConvTranspose"); }),
              HasSubstr("Conv alone"));
  EXPECT_THAT(changed([&](auto& graph) { node(graph, "block2.depthwise").clear_input(); }),
              HasSubstr("Conv alone"));
  EXPECT_THAT(changed([&](auto& graph) { node(graph, "pool").clear_output(); }), HasSubstr("makes nothing"));
  EXPECT_NE(changed([&](auto& graph) { node(graph, "block2.add").set_input(0, "stem"); }), "taken");
  // A convolution that takes the map for its weights.
  EXPECT_NE(changed([&](auto& graph) {
              auto& convolution = node(graph, "block2.depthwise");
              const std::string map = convolution.input(0);
              convolution.set_input(0, "input");
              convolution.set_input(1, map);
            }),
            "taken");
  for (const char* name : {"block2.add/step", "block1.depthwise.relu6/step"}) {
    EXPECT_NE(changed([&](auto& graph) {
                stored(graph, name).clear_raw_data();
                stored(graph, name).add_float_data(0);
              }),
              "taken")
        << name;
  }
  EXPECT_THAT(why([&] {
                onnx::ModelProto model = sound;
                auto& shape = *model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
                shape.mutable_shape()->mutable_dim(1)->set_dim_value(4);
                return model;
              }()),
              HasSubstr("colours"));
}

TEST(IntegerNetworks, AreAskedForInVainWhereTheNetworkIsNotMadeForThem) {
  const auto file = write_onnx(Builder(Plan{}).model(), "floating.onnx");
  EXPECT_NE(Network::load(options_of(file, 32, "tf", Precision::kAuto, 1)).fingerprint().precision, "int8");
  try {
    Network::load(options_of(file, 32, "tf", Precision::kInt8, 1));
    FAIL() << "it was loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("models quantize"));
  }
}

}  // namespace
}  // namespace pomona
