// SPDX-License-Identifier: Apache-2.0
#include "pomona/int8/mobile_chain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include <onnx/onnx_pb.h>

namespace pomona {
namespace {

constexpr int kMostChannels = 8192;
constexpr float kSix = 6;

// Why a graph is no chain; never leaves this file.
struct NoChain {
  std::string why;
};

[[noreturn]] void refuse(const std::string& why) {
  throw NoChain{why};
}

std::size_t product(std::size_t a, std::size_t b, std::size_t c = 1) {
  return a * b * c;
}

// A graph that is walked from tensor to tensor.
class Graph {
 public:
  explicit Graph(const onnx::GraphProto& graph) {
    for (const onnx::TensorProto& tensor : graph.initializer()) stored_[tensor.name()] = &tensor;
    for (const onnx::NodeProto& node : graph.node()) {
      if (node.output_size() == 0) refuse("a node makes nothing");
      for (const std::string& input : node.input()) {
        if (!input.empty()) readers_[input].push_back(&node);
      }
      for (const std::string& output : node.output()) made_by_[output] = &node;
    }
    for (const onnx::ValueInfoProto& input : graph.input()) {
      if (stored_.contains(input.name())) continue;
      if (!input_.empty()) refuse("it has more than one input");
      input_ = input.name();
      const auto& shape = input.type().tensor_type().shape();
      if (input.type().tensor_type().elem_type() != onnx::TensorProto::FLOAT || shape.dim_size() != 4 ||
          shape.dim(1).dim_value() != 3) {
        refuse("its input is not float32 with the colours before height and width");
      }
    }
    if (input_.empty()) refuse("it has no input");
  }

  const std::string& input() const { return input_; }

  std::vector<const onnx::NodeProto*> readers(const std::string& tensor, std::string_view type) const {
    std::vector<const onnx::NodeProto*> found;
    if (const auto at = readers_.find(tensor); at != readers_.end()) {
      for (const auto* node : at->second) {
        const bool first =
            node->input(0) == tensor || node->op_type() == "Add";  // not as weights or the like
        if (node->op_type() == type && node->domain().empty() && first) found.push_back(node);
      }
    }
    return found;
  }

  const onnx::NodeProto* reader(const std::string& tensor, std::string_view type) const {
    const auto found = readers(tensor, type);
    return found.size() == 1 ? found.front() : nullptr;
  }

  // The only node that reads the tensor at all, which must be of this type.
  const onnx::NodeProto& only_reader(const std::string& tensor, std::string_view type) const {
    const auto at = readers_.find(tensor);
    const auto* node = reader(tensor, type);
    if (node == nullptr || at->second.size() != 1) {
      refuse(tensor + " does not go to one " + std::string(type) + " alone");
    }
    return *node;
  }

  bool goes_to(const std::string& tensor, std::string_view type) const {
    return !readers(tensor, type).empty();
  }

  const onnx::NodeProto* maker(const std::string& tensor) const {
    const auto at = made_by_.find(tensor);
    return at == made_by_.end() ? nullptr : at->second;
  }

  const onnx::TensorProto& stored(const std::string& name) const {
    const auto at = stored_.find(name);
    if (at == stored_.end()) refuse(name + " is not a constant");
    return *at->second;
  }

  std::vector<float> floats(const std::string& name, std::size_t count) const {
    const onnx::TensorProto& tensor = stored(name);
    if (tensor.data_type() != onnx::TensorProto::FLOAT) refuse(name + " is not float32");
    std::vector<float> values(tensor.float_data().begin(), tensor.float_data().end());
    if (values.empty()) {
      values.resize(tensor.raw_data().size() / sizeof(float));
      std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
    }
    if (values.size() != count) refuse(name + " has not the size it should have");
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      refuse(name + " holds a value that is not finite");
    }
    return values;
  }

  // 8-bit values, signed or not, as raw bytes.
  std::string bytes(const std::string& name, onnx::TensorProto::DataType type, std::size_t count) const {
    const onnx::TensorProto& tensor = stored(name);
    if (tensor.data_type() != type) refuse(name + " has not the type it should have");
    std::string values = tensor.raw_data();
    if (values.empty()) {
      for (const auto value : tensor.int32_data()) values.push_back(static_cast<char>(value));
    }
    if (values.size() != count) refuse(name + " has not the size it should have");
    return values;
  }

 private:
  std::map<std::string, const onnx::TensorProto*> stored_;
  std::map<std::string, std::vector<const onnx::NodeProto*>> readers_;
  std::map<std::string, const onnx::NodeProto*> made_by_;
  std::string input_;
};

const onnx::AttributeProto* attribute(const onnx::NodeProto& node, std::string_view name) {
  for (const auto& one : node.attribute()) {
    if (one.name() == name) return &one;
  }
  return nullptr;
}

std::int64_t group_of(const onnx::NodeProto& node) {
  const auto* group = attribute(node, "group");
  return group == nullptr ? 1 : group->i();
}

std::vector<int> dims(const onnx::TensorProto& tensor) {
  std::vector<int> result;
  for (const auto side : tensor.dims()) {
    if (side < 1 || side > kMostChannels) refuse(tensor.name() + " has an unusual size");
    result.push_back(static_cast<int>(side));
  }
  if (result.size() != 4) refuse(tensor.name() + " does not have four dimensions");
  return result;
}

// A convolution's window, as its attributes say, over a map of this size.
Window window_of(const onnx::NodeProto& node, int size, int height, int width) {
  const auto both = [&](std::string_view name, int fallback) {
    const auto* one = attribute(node, name);
    if (one == nullptr || one->ints_size() == 0) return fallback;
    if (one->ints_size() != 2 || one->ints(0) != one->ints(1) || one->ints(0) < 1 || one->ints(0) > 16) {
      refuse(node.name() + " is not the same both ways");
    }
    return static_cast<int>(one->ints(0));
  };
  Window window;
  window.size = size;
  window.stride = both("strides", 1);
  if (both("dilations", 1) != 1) refuse(node.name() + " is dilated");
  if (both("kernel_shape", size) != size) refuse(node.name() + " is not as large as its weights");
  window.in_height = height;
  window.in_width = width;
  int bottom = 0, right = 0;
  const auto* automatic = attribute(node, "auto_pad");
  const std::string pad = automatic == nullptr ? "NOTSET" : automatic->s();
  if (pad == "SAME_UPPER" || pad == "SAME_LOWER") {
    const auto missing = [&](int side) {
      const int out = (side + window.stride - 1) / window.stride;
      return std::max(0, (out - 1) * window.stride + size - side);
    };
    const int rows = missing(height), columns = missing(width);
    window.top = pad == "SAME_UPPER" ? rows / 2 : rows - rows / 2;
    window.left = pad == "SAME_UPPER" ? columns / 2 : columns - columns / 2;
    bottom = rows - window.top;
    right = columns - window.left;
  } else if (pad == "NOTSET") {
    if (const auto* pads = attribute(node, "pads"); pads != nullptr && pads->ints_size() > 0) {
      if (pads->ints_size() != 4) refuse(node.name() + " has unusual padding");
      for (const auto value : pads->ints()) {
        if (value < 0 || value >= size) refuse(node.name() + " has unusual padding");
      }
      window.top = static_cast<int>(pads->ints(0));
      window.left = static_cast<int>(pads->ints(1));
      bottom = static_cast<int>(pads->ints(2));
      right = static_cast<int>(pads->ints(3));
    }
  } else if (pad != "VALID") {
    refuse(node.name() + " has unusual padding");
  }
  const int rows = height + window.top + bottom - size, columns = width + window.left + right - size;
  if (rows < 0 || columns < 0) refuse("the photo is too small for " + node.name());
  window.out_height = rows / window.stride + 1;
  window.out_width = columns / window.stride + 1;
  return window;
}

std::vector<float> bias_of(const Graph& graph, const onnx::NodeProto& node, int channels) {
  if (node.input_size() < 3 || node.input(2).empty())
    return std::vector<float>(static_cast<std::size_t>(channels));
  return graph.floats(node.input(2), static_cast<std::size_t>(channels));
}

// The tensor behind the ReLU6 that alone reads `tensor`.
std::string behind_relu6(const Graph& graph, const std::string& tensor) {
  const onnx::NodeProto& clip = graph.only_reader(tensor, "Clip");
  if (clip.input_size() != 3 || graph.floats(clip.input(1), 1)[0] != 0 ||
      graph.floats(clip.input(2), 1)[0] != kSix) {
    refuse(clip.name() + " does not cut at 0 and 6");
  }
  return clip.output(0);
}

struct Bytes {
  std::string tensor;  // what the pair makes floats of again
  float step = 1;
  int zero = 0;
};

Bytes behind_pair(const Graph& graph, const onnx::NodeProto& quantize) {
  Bytes bytes;
  if (quantize.input_size() != 3) refuse(quantize.name() + " names no zero");
  bytes.step = graph.floats(quantize.input(1), 1)[0];
  if (!(bytes.step > 0)) refuse(quantize.name() + " has an unusual step");
  bytes.zero = static_cast<unsigned char>(graph.bytes(quantize.input(2), onnx::TensorProto::UINT8, 1)[0]);
  const onnx::NodeProto& back = graph.only_reader(quantize.output(0), "DequantizeLinear");
  if (back.input_size() != 3 || back.input(1) != quantize.input(1) || back.input(2) != quantize.input(2)) {
    refuse(back.name() + " does not undo " + quantize.name());
  }
  bytes.tensor = back.output(0);
  return bytes;
}

// The 1 x 1 convolution that alone reads `from`.
std::pair<Pointwise, std::string> pointwise(const Graph& graph, const Bytes& from, int channels) {
  const onnx::NodeProto& node = graph.only_reader(from.tensor, "Conv");
  const auto* weights = node.input_size() > 1 ? graph.maker(node.input(1)) : nullptr;
  if (weights == nullptr || weights->op_type() != "DequantizeLinear" || weights->input_size() != 3) {
    refuse(node.name() + " is not quantized");
  }
  const auto* axis = attribute(*weights, "axis");
  if (axis == nullptr || axis->i() != 0) refuse(weights->name() + " has no scale for each output channel");
  const auto sides = dims(graph.stored(weights->input(0)));
  if (group_of(node) != 1 || sides[1] != channels || sides[2] != 1 || sides[3] != 1) {
    refuse(node.name() + " is not a dense 1 x 1 convolution");
  }
  const Window window = window_of(node, 1, 2, 2);
  if (window.stride != 1 || window.out_height != 2 || window.out_width != 2) {
    refuse(node.name() + " does not keep the map's size");
  }
  Pointwise one;
  one.in = channels;
  one.out = sides[0];
  one.zero = from.zero;
  const auto out = static_cast<std::size_t>(one.out);
  const std::string levels = graph.bytes(weights->input(0), onnx::TensorProto::INT8,
                                         product(out, static_cast<std::size_t>(channels)));
  one.weights.resize(levels.size());
  std::memcpy(one.weights.data(), levels.data(), levels.size());
  const std::string zeros = graph.bytes(weights->input(2), onnx::TensorProto::INT8, out);
  if (std::ranges::any_of(zeros, [](char zero) { return zero != 0; })) {
    refuse(weights->name() + " is not symmetric");
  }
  one.scale = graph.floats(weights->input(1), out);
  for (float& scale : one.scale) scale *= from.step;
  if (!std::ranges::all_of(one.scale, [](float scale) { return std::isfinite(scale); })) {
    refuse(weights->name() + " has an unusual scale");
  }
  one.bias = bias_of(graph, node, one.out);
  return {std::move(one), node.output(0)};
}

Stem stem_of(const Graph& graph, const onnx::NodeProto& node, int width, int height) {
  if (node.input_size() < 2) refuse(node.name() + " has no weights");
  const auto sides = dims(graph.stored(node.input(1)));
  if (group_of(node) != 1 || sides[1] != 3 || sides[2] != sides[3] || sides[2] > 7) {
    refuse(node.name() + " is not a usual first convolution");
  }
  Stem stem;
  stem.channels = sides[0];
  stem.window = window_of(node, sides[2], height, width);
  const auto channels = static_cast<std::size_t>(stem.channels), size = static_cast<std::size_t>(sides[2]);
  stem.weights = graph.floats(node.input(1), product(channels, 3 * size, size));
  stem.bias = bias_of(graph, node, stem.channels);
  return stem;
}

Depthwise depthwise_of(const Graph& graph, const onnx::NodeProto& node, int channels, int height, int width) {
  if (node.input_size() < 2) refuse(node.name() + " has no weights");
  const auto sides = dims(graph.stored(node.input(1)));
  if (group_of(node) != channels || sides[0] != channels || sides[1] != 1 || sides[2] != sides[3]) {
    refuse(node.name() + " is not a depthwise convolution");
  }
  if (sides[2] != 3 && sides[2] != 5) refuse(node.name() + " is neither 3 x 3 nor 5 x 5");
  Depthwise one;
  one.channels = channels;
  one.window = window_of(node, sides[2], height, width);
  if (one.window.stride > 2) refuse(node.name() + " leaves out more than every second pixel");
  const auto size = static_cast<std::size_t>(sides[2]);
  one.weights = graph.floats(node.input(1), product(static_cast<std::size_t>(channels), size, size));
  one.bias = bias_of(graph, node, channels);
  return one;
}

enum class Reached : std::uint8_t { kNo, kMap, kFlat };

// Whether `tensor` is the average of `map`, and with height and width of 1 or without; `map` itself counts
// with `average_of_map`.
Reached reached(const Graph& graph, const std::string& map, const std::string& tensor, bool average_of_map) {
  if (tensor == map) return average_of_map ? Reached::kMap : Reached::kNo;
  const auto* pool = graph.reader(map, "GlobalAveragePool");
  if (pool == nullptr) return Reached::kNo;
  if (tensor == pool->output(0)) return Reached::kMap;
  for (const auto* flat : graph.readers(pool->output(0), "Flatten")) {
    const auto* axis = attribute(*flat, "axis");
    if (tensor == flat->output(0) && (axis == nullptr || axis->i() == 1)) return Reached::kFlat;
  }
  return Reached::kNo;
}

MobileChain read(const Graph& graph, const std::string& tensor, bool average_of_map, int width, int height) {
  MobileChain chain;
  const onnx::NodeProto& first = graph.only_reader(graph.input(), "Conv");
  chain.stem = stem_of(graph, first, width, height);
  std::string map = behind_relu6(graph, first.output(0));
  int channels = chain.stem.channels;
  height = chain.stem.window.out_height;
  width = chain.stem.window.out_width;
  std::optional<Pointwise> expand;
  std::string input;  // the block's input in floating point, which may be added to its output
  int input_channels = 0;
  while (true) {
    const Reached end = expand ? reached(graph, map, tensor, average_of_map) : Reached::kNo;
    if (end != Reached::kNo) {
      chain.flat = end == Reached::kFlat;
      chain.head = std::move(*expand);
      chain.map_height = height;
      chain.map_width = width;
      return chain;
    }
    ChainBlock block;
    block.expand = std::exchange(expand, std::nullopt);
    if (block.expand.has_value() == chain.blocks.empty()) refuse("its blocks are not in the usual order");
    const onnx::NodeProto& depthwise = graph.only_reader(map, "Conv");
    block.depthwise = depthwise_of(graph, depthwise, channels, height, width);
    height = block.depthwise.window.out_height;
    width = block.depthwise.window.out_width;
    Bytes bytes =
        behind_pair(graph, graph.only_reader(behind_relu6(graph, depthwise.output(0)), "QuantizeLinear"));
    if (bytes.zero != 0) refuse("the bytes behind " + depthwise.name() + " have a zero of their own");
    block.depthwise.step = bytes.step;
    auto [next, output] = pointwise(graph, bytes, channels);
    channels = next.out;
    if (graph.goes_to(output, "Clip")) {
      input.clear();
    } else {
      block.project = std::move(next);
      const auto* add = graph.reader(output, "Add");
      if (add != nullptr && !input.empty() && add->input_size() == 2 &&
          (add->input(0) == input || add->input(1) == input) && add->input(0) != add->input(1)) {
        const Window& window = block.depthwise.window;
        if (channels != input_channels || window.in_height != height || window.in_width != width) {
          refuse(add->name() + " adds maps of different sizes");
        }
        block.adds_input = true;
        output = add->output(0);
      }
      const auto* quantize = graph.reader(output, "QuantizeLinear");
      if (quantize == nullptr) refuse(output + " is not quantized");
      input = output;
      input_channels = channels;
      bytes = behind_pair(graph, *quantize);
      block.step = bytes.step;
      block.zero = bytes.zero;
      std::tie(next, output) = pointwise(graph, bytes, channels);
      channels = next.out;
    }
    map = behind_relu6(graph, output);
    expand = std::move(next);
    chain.blocks.push_back(std::move(block));
  }
}

}  // namespace

std::expected<MobileChain, std::string> read_mobile_chain(const onnx::GraphProto& graph,
                                                          const std::string& tensor, bool average_of_map,
                                                          int width, int height) {
  try {
    return read(Graph(graph), tensor, average_of_map, width, height);
  } catch (const NoChain& no) {
    return std::unexpected(no.why);
  }
}

}  // namespace pomona
