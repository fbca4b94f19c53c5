// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/graph_cut.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include <openvino/core/model.hpp>
#include <openvino/op/add.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/convert.hpp>
#include <openvino/op/convolution.hpp>
#include <openvino/op/gather.hpp>
#include <openvino/op/matmul.hpp>
#include <openvino/op/multiply.hpp>
#include <openvino/op/parameter.hpp>
#include <openvino/op/reduce_max.hpp>
#include <openvino/op/reduce_mean.hpp>
#include <openvino/op/reshape.hpp>
#include <openvino/op/result.hpp>
#include <openvino/op/subtract.hpp>
#include <openvino/op/transpose.hpp>

#include "pomona/base/error.h"

namespace pomona {
namespace {

using Value = ov::Output<ov::Node>;
using NodePtr = std::shared_ptr<ov::Node>;
using ParameterPtr = std::shared_ptr<ov::op::v0::Parameter>;
using NameSet = std::unordered_set<std::string>;

constexpr std::uint64_t kLargestActivation = std::uint64_t{1} << 32;  // bytes per photo
constexpr std::int64_t kLargestDimension = 1 << 22;

// What may stand between the last dense layer and the outputs without making it a hidden layer.
const NameSet& head_tail() {
  static const NameSet names = {"Add",          "Subtract", "Multiply",     "Divide",     "Softmax",
                                "LogSoftmax",   "Sigmoid",  "Reshape",      "Squeeze",    "Unsqueeze",
                                "Transpose",    "Convert",  "FakeQuantize", "TopK",       "ReduceMax",
                                "ReduceSum",    "Exp",      "Log",          "ShapeOf",    "Gather",
                                "Concat",       "Constant", "Result",       "Identity",   "Power",
                                "StridedSlice", "Range",    "ArgMax",       "FakeConvert"};
  return names;
}

// The same behind a fully convolutional classifier (SqueezeNet): its average comes last.
const NameSet& pooled_tail() {
  static const NameSet names = {"Relu", "ReduceMean", "AvgPool", "AdaptiveAvgPool"};
  return names;
}

template <typename T>
std::shared_ptr<T> as(const NodePtr& node) {
  return ov::as_type_ptr<T>(node);
}

std::shared_ptr<ov::op::v0::Constant> constant(const std::vector<std::int64_t>& values) {
  return ov::op::v0::Constant::create(ov::element::i64, ov::Shape{values.size()}, values);
}

bool is_type(const ov::Node& node, const char* name) {
  return std::string_view(node.get_type_info().name) == name;
}

std::string name_of(const Value& value) {
  const auto& names = value.get_names();
  if (!names.empty()) return *std::min_element(names.begin(), names.end());
  return value.get_node()->get_friendly_name();
}

// A name that is the same each time the network is read: OpenVINO numbers nodes without a name as it goes.
std::string stable_name(const Value& map, const Value& cut, const std::string& asked) {
  if (!map.get_names().empty()) return name_of(map);
  return cut.get_names().empty() ? asked : name_of(cut);
}

// --- the input -------------------------------------------------------------------------------------------

struct Input {
  ParameterPtr parameter;
  bool channels_last = false;
  bool told = true;  // by its shape; else channels_last is an assumption
};

bool could_be(const ov::Dimension& dimension, std::int64_t length) {
  return dimension.compatible(length);
}

Input find_input(const ov::Model& model, bool assume_channels_last) {
  ov::ParameterVector used;
  for (const auto& parameter : model.get_parameters()) {
    if (!parameter->output(0).get_target_inputs().empty()) used.push_back(parameter);
  }
  if (used.size() != 1) {
    throw Error(ErrorCode::kUsage, "the network has " + std::to_string(used.size()) +
                                       " inputs; Pomona needs one that takes a picture alone");
  }
  const ov::PartialShape& shape = used[0]->get_partial_shape();
  const std::string text = shape.to_string();
  if (shape.rank().is_dynamic()) return {used[0], assume_channels_last, false};
  if (shape.rank().get_length() != 4) {
    throw Error(ErrorCode::kUsage,
                "the network's input has the shape " + text + "; a batch of RGB pictures has four sides");
  }
  const bool first = could_be(shape[1], 3);
  const bool last = could_be(shape[3], 3);
  // A number of channels, and not a side in pixels: the other side, if open, is no colours either.
  const auto channels = [&](std::size_t at) { return shape[at].is_static() && shape[at].get_length() <= 4; };
  const bool other_colours =
      (channels(1) && !first && shape[3] != 3) || (channels(3) && !last && shape[1] != 3);
  if ((!first && !last) || other_colours) {
    throw Error(ErrorCode::kUsage,
                "the network's input has the shape " + text + ", with no side of 3 for red, green and blue");
  }
  if (first != last) return {used[0], last};
  // Both could be: the side that says 3 wins, then what the frontend's format is known for.
  if (shape[1].is_static() != shape[3].is_static()) return {used[0], shape[3].is_static()};
  return {used[0], assume_channels_last, false};
}

int side(const ov::PartialShape& shape, std::size_t index, int asked) {
  if (asked > 0) return asked;
  if (shape.rank().is_static() && shape[index].is_static()) {
    const std::int64_t length = shape[index].get_length();
    if (length < 1 || length > 8192) {
      throw Error(ErrorCode::kFormat, "the network's input is " + std::to_string(length) + " pixels a side");
    }
    return static_cast<int>(length);
  }
  return 224;
}

// --- the head --------------------------------------------------------------------------------------------

// The nodes whose values, not only shapes, depend on the picture.
std::unordered_set<const ov::Node*> depending(const ov::Model& model, const ParameterPtr& parameter) {
  std::unordered_set<const ov::Node*> nodes = {parameter.get()};
  for (const auto& node : model.get_ordered_ops()) {
    if (is_type(*node, "ShapeOf")) continue;
    for (const auto& input : node->input_values()) {
      if (nodes.contains(input.get_node())) nodes.insert(node.get());
    }
  }
  return nodes;
}

enum class Dense : std::uint8_t { kNo, kYes, kAtEveryPixel };

// A layer of plain weights over one flat vector; `data` is its input.
Dense dense_layer(const NodePtr& node, const std::unordered_set<const ov::Node*>& dynamic, Value& data) {
  if (as<ov::op::v0::MatMul>(node)) {
    const bool left = dynamic.contains(node->get_input_node_ptr(0));
    const bool right = dynamic.contains(node->get_input_node_ptr(1));
    if (left == right) return Dense::kNo;
    const Value weights = node->input_value(left ? 1 : 0);
    data = node->input_value(left ? 0 : 1);
    if (weights.get_partial_shape().is_dynamic()) return Dense::kNo;
    const ov::Shape& shape = weights.get_shape();
    for (std::size_t i = 0; i + 2 < shape.size(); ++i) {
      if (shape[i] != 1) return Dense::kNo;
    }
    return shape.size() >= 2 ? Dense::kYes : Dense::kNo;
  }
  if (!as<ov::op::v1::Convolution>(node)) return Dense::kNo;
  if (!dynamic.contains(node->get_input_node_ptr(0)) || dynamic.contains(node->get_input_node_ptr(1))) {
    return Dense::kNo;
  }
  data = node->input_value(0);
  const ov::PartialShape weights = node->get_input_partial_shape(1);
  if (weights.is_dynamic() || data.get_partial_shape().is_dynamic() || weights.size() != 4) return Dense::kNo;
  if (weights[2] != 1 || weights[3] != 1) return Dense::kNo;
  const ov::Shape shape = data.get_shape();
  return shape[2] == 1 && shape[3] == 1 ? Dense::kYes : Dense::kAtEveryPixel;
}

// True where one of these nodes multiplies a vector of theirs with another of the same sides, as an
// activation does (Swish: x * sigmoid(x)). A softmax in steps divides by a sum instead.
bool gates_itself(const std::unordered_set<const ov::Node*>& nodes) {
  return std::ranges::any_of(nodes, [&](const ov::Node* node) {
    if (!is_type(*node, "Multiply") && !is_type(*node, "Divide")) return false;
    const Value one = node->input_value(0);
    const Value other = node->input_value(1);
    return nodes.contains(one.get_node()) && nodes.contains(other.get_node()) &&
           one.get_element_type().is_real() && one.get_partial_shape() == other.get_partial_shape();
  });
}

// True where only bias, softmax, reshapes and the like stand between `node` and the outputs.
bool ends_in_outputs(const NodePtr& node, Dense kind) {
  std::unordered_set<const ov::Node*> seen = {node.get()};
  std::vector<const ov::Node*> waiting = {node.get()};
  bool result = false;
  bool softmax = false;
  while (!waiting.empty()) {
    const ov::Node* at = waiting.back();
    waiting.pop_back();
    for (const auto& output : at->outputs()) {
      for (const auto& target : output.get_target_inputs()) {
        const ov::Node* next = target.get_node();
        const std::string type = next->get_type_info().name;
        if (!head_tail().contains(type) && (kind != Dense::kAtEveryPixel || !pooled_tail().contains(type))) {
          return false;
        }
        result = result || type == "Result";
        softmax = softmax || type == "Softmax" || type == "LogSoftmax";
        if (seen.insert(next).second) waiting.push_back(next);
      }
    }
  }
  // A 1 x 1 convolution over a whole map also ends headless networks; only softmax tells a classifier.
  return result && (kind == Dense::kYes || softmax) && !gates_itself(seen);
}

Value find_penultimate(const ov::Model& model, const std::unordered_set<const ov::Node*>& dynamic) {
  const std::vector<NodePtr> ops = model.get_ordered_ops();
  for (auto op = ops.rbegin(); op != ops.rend(); ++op) {
    Value data;
    const Dense kind = dense_layer(*op, dynamic, data);
    if (kind != Dense::kNo && ends_in_outputs(*op, kind)) return data;
  }
  if (model.get_results().size() == 1) return model.get_results()[0]->input_value(0);
  std::string names;
  for (const auto& result : model.get_results()) {
    names += (names.empty() ? "" : ", ") + name_of(result->input_value(0));
  }
  throw Error(ErrorCode::kUsage, "the network has no dense layer at its end and several outputs (" + names +
                                     "): name one with --layer");
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t swap = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, swap});
    }
  }
  return row[b.size()];
}

[[noreturn]] void unknown_layer(const std::string& layer, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const auto& name : names) {
    if (name.size() > 200 || layer.size() > 200) continue;
    const std::size_t distance = name.find(layer) != std::string::npos ? 0 : edit_distance(name, layer);
    if (distance <= std::max<std::size_t>(2, layer.size() / 3)) near.emplace_back(distance, name);
  }
  std::ranges::stable_sort(near, {}, [](const auto& pair) { return pair.first; });
  std::string text = "the network has no layer `" + layer + "`.";
  if (!near.empty()) {
    text += " Similar:";
    for (std::size_t i = 0; i < std::min<std::size_t>(near.size(), 5); ++i) text += " " + near[i].second;
    text += ".";
  }
  text += " The last ones:";
  for (std::size_t i = names.size() - std::min<std::size_t>(names.size(), 8); i < names.size(); ++i) {
    text += " " + names[i];
  }
  throw Error(ErrorCode::kUsage, text + ". Or `penultimate`, the input of the last dense layer.");
}

// Whether a node belongs to a layer by its path, as Keras names operations: `vgg16_1/block5_pool_1/MaxPool2d`
// belongs to the layer block5_pool (Keras counts the uses of a layer).
bool is_of_layer(std::string_view path, const std::string& layer) {
  while (true) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.starts_with(layer)) {
      std::string_view use = part.substr(layer.size());
      if (use.empty()) return true;
      if (use.size() > 1 && use.front() == '_' &&
          use.find_first_not_of("0123456789", 1) == std::string_view::npos) {
        return true;
      }
    }
    if (part.size() == path.size()) return false;
    path.remove_prefix(part.size() + 1);
  }
}

Value find_layer(const ov::Model& model, const std::unordered_set<const ov::Node*>& dynamic,
                 const std::string& layer) {
  std::vector<std::string> names;
  std::optional<Value> by_node;
  std::optional<Value> by_path;  // the last operation of a layer is what it gives
  for (const auto& node : model.get_ordered_ops()) {
    if (!dynamic.contains(node.get()) || is_type(*node, "Result") || is_type(*node, "Parameter")) continue;
    for (const auto& output : node->outputs()) {
      for (const auto& name : output.get_names()) {
        if (name == layer || name == layer + ":0") return output;
      }
      if (!output.get_names().empty()) names.push_back(name_of(output));
    }
    if (node->get_friendly_name() == layer) by_node = node->output(0);
    if (is_of_layer(node->get_friendly_name(), layer)) by_path = node->output(0);
  }
  if (by_node) return *by_node;
  if (by_path) return *by_path;
  if (names.empty()) {
    for (const auto& node : model.get_ordered_ops()) {
      if (dynamic.contains(node.get())) names.push_back(node->get_friendly_name());
    }
  }
  unknown_layer(layer, names);
}

// --- layout and pooling ----------------------------------------------------------------------------------

// Whether the four sides of `value` are batch, height, width, channels: told by the nearest node above that
// fixes a layout.
bool is_channels_last(Value value, const Input& input) {
  for (int steps = 0; steps < 10000; ++steps) {
    const NodePtr node = value.get_node_shared_ptr();
    if (node == input.parameter) return input.channels_last;
    const std::string type = node->get_type_info().name;
    if (type == "Convolution" || type == "GroupConvolution" || type == "MaxPool" || type == "AvgPool" ||
        type == "AdaptiveAvgPool" || type == "BatchNormInference" || type == "ConvolutionBackpropData") {
      return false;
    }
    if (type == "Transpose") {
      const auto order = as<ov::op::v0::Constant>(node->get_input_node_shared_ptr(1));
      if (order) {
        const auto axes = order->cast_vector<std::int64_t>();
        if (axes == std::vector<std::int64_t>{0, 2, 3, 1}) return true;
        if (axes == std::vector<std::int64_t>{0, 3, 1, 2}) return false;
      }
    }
    // On through element-wise nodes, along the operand that is a map of the same size.
    std::optional<Value> above;
    for (const auto& operand : node->input_values()) {
      if (as<ov::op::v0::Constant>(operand.get_node_shared_ptr())) continue;
      if (operand.get_partial_shape().rank().is_static() && operand.get_partial_shape().size() == 4) {
        above = operand;
        break;
      }
    }
    if (!above) break;
    value = *above;
  }
  return input.channels_last;
}

// The map behind a flat vector: up through reshapes, to four sides of the same numbers. The value itself
// where there is none.
Value unflattened(const Value& value) {
  Value at = value;
  while (true) {
    const NodePtr node = at.get_node_shared_ptr();
    const std::string type = node->get_type_info().name;
    if (at.get_partial_shape().is_static() && at.get_shape().size() == 4) return at;
    if (type != "Reshape" && type != "Squeeze" && type != "Unsqueeze") return value;
    at = node->input_value(0);
  }
}

struct Pooled {
  Value value;  // (1, d)
  Pool pool = Pool::kNone;
  MapLayout map = MapLayout::kFlat;
};

Pooled pool_to_vector(const Value& cut, Pool asked, const Input& input) {
  const Value map = unflattened(cut);
  const ov::Shape& shape = map.get_shape();
  if ((asked == Pool::kAvg || asked == Pool::kMax) && shape.size() != 2 && shape.size() != 4) {
    throw Error(ErrorCode::kUsage,
                "the layer " + name_of(cut) + " has the shape " + cut.get_partial_shape().to_string() +
                    ", no map with height and width to pool: give --pool none, or another --layer");
  }
  const bool flattened = map != cut;
  Value value = map;
  Pool pool = Pool::kNone;
  MapLayout layout = MapLayout::kFlat;
  if (shape.size() == 4) {
    const bool last = is_channels_last(map, input);
    layout = last ? MapLayout::kChannelsLast : MapLayout::kChannelsFirst;
    const std::size_t pixels = last ? shape[1] * shape[2] : shape[2] * shape[3];
    if (pixels > 1) {
      // A layer that flattens by itself asks for its flat vector, unless told otherwise.
      pool = asked == Pool::kAuto ? (flattened ? Pool::kNone : Pool::kAvg) : asked;
      const auto axes = last ? constant({1, 2}) : constant({2, 3});
      if (pool == Pool::kAvg) value = std::make_shared<ov::op::v1::ReduceMean>(map, axes, false);
      if (pool == Pool::kMax) value = std::make_shared<ov::op::v1::ReduceMax>(map, axes, false);
      if (pool == Pool::kNone && !last) {
        value = std::make_shared<ov::op::v1::Transpose>(map, constant({0, 2, 3, 1}));
      }
    }
  }
  if (value.get_element_type() != ov::element::f32) {
    value = std::make_shared<ov::op::v0::Convert>(value, ov::element::f32);
  }
  if (value.get_shape().size() != 2) {
    value = std::make_shared<ov::op::v1::Reshape>(value, constant({0, -1}), true);
  }
  return {value, pool, layout};
}

// --- preprocessing ---------------------------------------------------------------------------------------

// Scales and reorders the input channels of the first convolution, where its weights are a plain constant
// and nothing else reads its input. Zero padding stays zero, so the result is the same.
bool fold_into_convolution(const ParameterPtr& old, bool channels_last, const std::array<float, 3>& factor,
                           bool bgr) {
  ov::Output<ov::Node> value = old->output(0);
  if (channels_last) {
    if (value.get_target_inputs().size() != 1) return false;
    const NodePtr transpose = value.get_target_inputs().begin()->get_node()->shared_from_this();
    if (!as<ov::op::v1::Transpose>(transpose)) return false;
    const auto order = as<ov::op::v0::Constant>(transpose->get_input_node_shared_ptr(1));
    if (!order || order->cast_vector<std::int64_t>() != std::vector<std::int64_t>{0, 3, 1, 2}) return false;
    value = transpose->output(0);
  }
  if (value.get_target_inputs().size() != 1) return false;
  const auto target = *value.get_target_inputs().begin();
  const auto convolution = as<ov::op::v1::Convolution>(target.get_node()->shared_from_this());
  if (!convolution || target.get_index() != 0) return false;
  const auto weights = as<ov::op::v0::Constant>(convolution->get_input_node_shared_ptr(1));
  if (!weights || weights->get_element_type() != ov::element::f32) return false;
  const ov::Shape shape = weights->get_shape();
  if (shape.size() != 4 || shape[1] != 3) return false;

  const std::vector<float> from = weights->cast_vector<float>();
  std::vector<float> to(from.size());
  const std::size_t kernel = shape[2] * shape[3];
  for (std::size_t o = 0; o < shape[0]; ++o) {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::size_t source = (o * 3 + c) * kernel;
      const std::size_t place = (o * 3 + (bgr ? 2 - c : c)) * kernel;
      for (std::size_t k = 0; k < kernel; ++k) to[place + k] = from[source + k] * factor[c];
    }
  }
  convolution->input(1).replace_source_output(ov::op::v0::Constant::create(ov::element::f32, shape, to));
  return true;
}

std::shared_ptr<ov::op::v0::Constant> per_channel(std::array<float, 3> values, bool reversed) {
  if (reversed) std::swap(values[0], values[2]);
  return ov::op::v0::Constant::create(ov::element::f32, ov::Shape{1, 1, 1, 3},
                                      std::vector<float>(values.begin(), values.end()));
}

// Puts bytes in front of `old`. Returns the new input.
ParameterPtr prepend_preprocessing(const Input& input, const PreprocessSpec& spec, int batch, int height,
                                   int width, bool& raw_pixels) {
  const ParameterPtr& old = input.parameter;
  const ov::element::Type type = old->get_element_type();
  const auto bytes = std::make_shared<ov::op::v0::Parameter>(
      ov::element::u8, ov::Shape{static_cast<std::size_t>(batch), static_cast<std::size_t>(height),
                                 static_cast<std::size_t>(width), 3});
  bytes->set_friendly_name("pixels");
  bytes->output(0).set_names({"pixels"});
  Value value = bytes->output(0);
  raw_pixels = type == ov::element::u8 || type == ov::element::i8;
  if (raw_pixels) {
    if (spec.bgr) value = std::make_shared<ov::op::v8::Gather>(value, constant({2, 1, 0}), constant({3}));
    if (type == ov::element::i8) {  // TFLite's signed twin of u8: zero point 128
      value = std::make_shared<ov::op::v0::Convert>(value, ov::element::f32);
      value = std::make_shared<ov::op::v1::Subtract>(
          value, ov::op::v0::Constant::create(ov::element::f32, ov::Shape{}, {128.0F}));
      value = std::make_shared<ov::op::v0::Convert>(value, ov::element::i8);
    }
  } else if (type.is_real()) {
    std::array<float, 3> factor{};
    for (std::size_t c = 0; c < 3; ++c) factor[c] = 1.0F / spec.std[c];
    const bool folded = fold_into_convolution(old, input.channels_last, factor, spec.bgr);
    value = std::make_shared<ov::op::v0::Convert>(value, ov::element::f32);
    // Still red first here: mean and factor, given in the network's order, are turned round for BGR.
    value = std::make_shared<ov::op::v1::Subtract>(value, per_channel(spec.mean, spec.bgr));
    if (!folded) {
      value = std::make_shared<ov::op::v1::Multiply>(value, per_channel(factor, spec.bgr));
      if (spec.bgr) {
        value = std::make_shared<ov::op::v8::Gather>(value, constant({2, 1, 0}), constant({3}));
      }
    }
    if (type != ov::element::f32) value = std::make_shared<ov::op::v0::Convert>(value, type);
  } else {
    throw Error(ErrorCode::kUsage, "the network's input is of type " + type.get_type_name() +
                                       "; Pomona feeds f32, f16, u8 or i8");
  }
  if (!input.channels_last) value = std::make_shared<ov::op::v1::Transpose>(value, constant({0, 3, 1, 2}));
  old->output(0).replace(value);
  return bytes;
}

ov::PartialShape input_shape(const Input& input, int batch, int height, int width) {
  if (input.channels_last) return {batch, height, width, 3};
  return {batch, 3, height, width};
}

void refuse_huge(const ov::Model& model) {
  for (const auto& node : model.get_ordered_ops()) {
    for (const auto& output : node->outputs()) {
      const ov::PartialShape& shape = output.get_partial_shape();
      if (shape.is_dynamic()) continue;
      std::uint64_t bytes = (output.get_element_type().bitwidth() + 7) / 8;
      for (const auto& length : shape) {
        const auto factor = static_cast<std::uint64_t>(length.get_length());
        if (factor != 0 && bytes > kLargestActivation / factor) {
          throw Error(ErrorCode::kFormat, "the network's layer " + node->get_friendly_name() +
                                              " has the shape " + shape.to_string() +
                                              ", over 4 GiB for one photo");
        }
        bytes *= factor;
      }
    }
  }
}

}  // namespace

int batch_for(int width, int height) {
  // Measured with MobileNetV2 and EfficientNet-Lite0 at 128 and 224: what a larger batch saves in calls it
  // loses above about four photos of 224 x 224, when the layers' maps no longer stay in a core's cache.
  constexpr std::uint64_t kPixels = 4UL * 224 * 224;
  constexpr std::uint64_t kMost = 8;
  const std::uint64_t photo = static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height);
  return static_cast<int>(std::bit_floor(std::clamp<std::uint64_t>(kPixels / photo, 1, kMost)));
}

CutOptions cut_options(NetworkFormat format, const PreprocessSpec& spec, const std::string& layer) {
  CutOptions options;
  options.layer = layer;
  options.channels_last = format == NetworkFormat::kTfLite || format == NetworkFormat::kSavedModel;
  if (spec.sized) {
    options.width = spec.width;
    options.height = spec.height;
  }
  return options;
}

CutNetwork cut_network(std::shared_ptr<ov::Model> model, const CutOptions& options,
                       const PreprocessSpec& spec) {
  Input input = find_input(*model, options.channels_last);
  const ov::PartialShape& given = input.parameter->get_partial_shape();
  const std::string own = given.to_string();
  CutNetwork network;
  const auto fits = [&] {
    network.height = side(given, input.channels_last ? 1 : 2, options.height);
    network.width = side(given, input.channels_last ? 2 : 3, options.width);
    try {
      model->reshape({{input.parameter->output(0), input_shape(input, 1, network.height, network.width)}});
    } catch (const std::exception&) {
      return false;
    }
    return true;
  };
  bool resized = fits();
  if (!resized && !input.told) {
    input.channels_last = !input.channels_last;
    resized = fits();
  }
  const std::string size = std::to_string(network.width) + " x " + std::to_string(network.height);
  if (!resized) {
    throw Error(ErrorCode::kUsage, "the network's input " + own + " cannot be changed to " + size +
                                       " pixels: give --input-size as the network was made for");
  }
  refuse_huge(*model);

  const auto dynamic = depending(*model, input.parameter);
  const Value cut = options.layer == "penultimate" ? find_penultimate(*model, dynamic)
                                                   : find_layer(*model, dynamic, options.layer);
  const std::string name = stable_name(unflattened(cut), cut, options.layer);
  if (!dynamic.contains(cut.get_node())) {
    throw Error(ErrorCode::kUsage, "the layer " + name + " does not depend on the picture");
  }
  if (cut.get_partial_shape().is_dynamic() || cut.get_shape().size() < 2 || cut.get_shape()[0] != 1) {
    throw Error(ErrorCode::kUsage,
                "at " + size + " pixels the layer " + name + " has the shape " +
                    cut.get_partial_shape().to_string() +
                    ", not one vector or map per photo: give --input-size as the network was "
                    "made for, or another --layer");
  }
  const Pooled pooled = pool_to_vector(cut, options.pool, input);
  const auto dimension = static_cast<std::int64_t>(pooled.value.get_shape()[1]);
  if (dimension < 1 || dimension > kLargestDimension) {
    throw Error(ErrorCode::kUsage, "the layer " + name + " gives " + std::to_string(dimension) +
                                       " numbers per photo: choose another, or --pool avg");
  }

  auto featurizer =
      std::make_shared<ov::Model>(ov::ResultVector{std::make_shared<ov::op::v0::Result>(pooled.value)},
                                  ov::ParameterVector{input.parameter}, "featurizer");
  const auto takes = [&](int batch) {
    try {
      featurizer->reshape(
          {{input.parameter->output(0), input_shape(input, batch, network.height, network.width)}});
    } catch (const std::exception&) {
      return false;
    }
    return featurizer->get_results()[0]->get_output_partial_shape(0) == ov::PartialShape{batch, dimension};
  };
  network.batch = options.batch > 0 ? options.batch : batch_for(network.width, network.height);
  if (!takes(network.batch)) {
    if (options.batch > 0 || !takes(1)) {
      throw Error(ErrorCode::kUsage, "the network was made for one photo at a time and cannot take " +
                                         std::to_string(network.batch) + ": give --batch 1");
    }
    network.batch = 1;
  }
  const ParameterPtr pixels =
      prepend_preprocessing(input, spec, network.batch, network.height, network.width, network.raw_pixels);
  network.model =
      std::make_shared<ov::Model>(featurizer->get_results(), ov::ParameterVector{pixels}, "featurizer");
  network.model->validate_nodes_and_infer_types();
  network.layer = name;
  network.pool = pooled.pool;
  network.map = pooled.map;
  network.dimension = static_cast<int>(dimension);
  return network;
}

}  // namespace pomona
