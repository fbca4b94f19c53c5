// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <onnx/onnx_pb.h>
#include <openvino/core/model.hpp>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/infer_request.hpp>
#include <openvino/runtime/properties.hpp>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/model/network_file.h"

namespace pomona {
namespace {

constexpr int kOpset = 13;                         // the first with scales for each channel
constexpr int kBatch = 8;                          // photos per inference
constexpr std::size_t kValuesPerTensor = 200'000;  // that a range is chosen by
constexpr int kRangesTried = 25;
constexpr float kNarrowestRange = 0.4F;  // of the whole one

struct Scale {
  float step = 1;
  std::uint8_t zero = 0;
};

struct Convolution {
  std::string input, weights, bias, output;
  std::int64_t channels = 0;  // of the output
};

// What one tensor held while the photos went through.
struct Seen {
  float least = 0, most = 0;
  std::vector<float> sample;     // every so-manieth value
  std::vector<double> channels;  // sums
  std::uint64_t per_channel = 0;

  std::vector<double> means() const {
    std::vector<double> result = channels;
    for (double& value : result) value /= static_cast<double>(per_channel);
    return result;
  }
};

onnx::TensorProto* initializer(onnx::GraphProto& graph, const std::string& name) {
  for (onnx::TensorProto& tensor : *graph.mutable_initializer()) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

std::vector<float> floats(const onnx::TensorProto& tensor) {
  if (tensor.raw_data().empty()) return {tensor.float_data().begin(), tensor.float_data().end()};
  std::vector<float> values(tensor.raw_data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
  return values;
}

template <typename T>
void set_values(onnx::TensorProto& tensor, onnx::TensorProto::DataType type, const std::vector<T>& values) {
  tensor.clear_float_data();
  tensor.set_data_type(type);
  tensor.set_raw_data(values.data(), values.size() * sizeof(T));
}

// A new initializer; sides empty = a scalar.
template <typename T>
void add_initializer(onnx::GraphProto& graph, const std::string& name, onnx::TensorProto::DataType type,
                     const std::vector<T>& values, const std::vector<std::int64_t>& sides) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  for (const std::int64_t side : sides) tensor.add_dims(side);
  set_values(tensor, type, values);
}

std::int64_t group_of(const onnx::NodeProto& node) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == "group") return attribute.i();
  }
  return 1;
}

bool is_convolution(const onnx::NodeProto& node) {
  return node.op_type() == "Conv" && node.domain().empty();
}

void check_opset(const onnx::ModelProto& network) {
  std::int64_t opset = 0;
  for (const auto& used : network.opset_import()) {
    if (used.domain().empty() || used.domain() == "ai.onnx") opset = used.version();
  }
  if (opset < kOpset) {
    throw Error(ErrorCode::kUnavailable,
                "its ONNX opset is " + std::to_string(opset) +
                    ", and 8-bit scales for each channel came with " + std::to_string(kOpset) +
                    ": export it anew, or convert it with onnx.version_converter, then quantize");
  }
}

// How many nodes read each tensor.
std::map<std::string, int> readers(const onnx::GraphProto& graph) {
  std::map<std::string, int> count;
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& name : node.input()) ++count[name];
  }
  return count;
}

// The convolutions worth it: dense, plain float32 weights of their own, not straight on the photo. A bias is
// added to those without one, for the correction to go to.
std::vector<Convolution> dense_convolutions(onnx::GraphProto& graph) {
  std::set<std::string> inputs;
  for (const auto& input : graph.input()) inputs.insert(input.name());
  const std::map<std::string, int> read_by = readers(graph);
  std::vector<Convolution> found;
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    if (!is_convolution(node) || group_of(node) != 1) continue;
    const onnx::TensorProto* weights = initializer(graph, node.input(1));
    if (weights == nullptr || weights->data_type() != onnx::TensorProto::FLOAT || weights->dims_size() != 4 ||
        weights->dims(1) <= 4 || inputs.contains(node.input(0)) || read_by.at(node.input(1)) != 1) {
      continue;
    }
    Convolution one{node.input(0), node.input(1), node.output(0) + "/bias", node.output(0), weights->dims(0)};
    std::vector<float> bias(static_cast<std::size_t>(one.channels));
    if (node.input_size() > 2 && !node.input(2).empty()) {
      const onnx::TensorProto* own = initializer(graph, node.input(2));
      if (own == nullptr || own->data_type() != onnx::TensorProto::FLOAT) continue;
      bias = floats(*own);
    }
    while (node.input_size() < 3) node.add_input("");
    node.set_input(2, one.bias);
    add_initializer(graph, one.bias, onnx::TensorProto::FLOAT, bias, {one.channels});
    found.push_back(std::move(one));
  }
  return found;
}

// The photos as the network's own input, a batch at a time.
class Photos {
 public:
  Photos(const onnx::GraphProto& graph, const PreprocessSpec& spec, std::span<const std::uint8_t> pixels)
      : spec_(spec), pixels_(pixels) {
    std::set<std::string> stored;
    for (const auto& tensor : graph.initializer()) stored.insert(tensor.name());
    const onnx::TypeProto::Tensor* type = nullptr;
    int inputs = 0;
    for (const auto& input : graph.input()) {
      if (stored.contains(input.name())) continue;
      ++inputs;
      type = &input.type().tensor_type();
    }
    if (inputs != 1 || type->shape().dim_size() != 4 || type->elem_type() != onnx::TensorProto::FLOAT) {
      throw Error(ErrorCode::kUnavailable,
                  "only a network with one input of four dimensions in float32 can be quantized");
    }
    channels_last_ = type->shape().dim(3).dim_value() == 3 && type->shape().dim(1).dim_value() != 3;
  }

  std::size_t count() const { return pixels_.size() / photo_values(); }

  ov::Shape shape() const {
    const auto width = static_cast<std::size_t>(spec_.width), height = static_cast<std::size_t>(spec_.height);
    return channels_last_ ? ov::Shape{kBatch, height, width, 3} : ov::Shape{kBatch, 3, height, width};
  }

  // Fills the batch beginning at photo `first`; the last one is filled up with its own last photo, which
  // the means then hold more than once.
  void fill(std::size_t first, float* out) const {
    const std::size_t area = photo_values() / 3;
    for (std::size_t slot = 0; slot < kBatch; ++slot) {
      const std::uint8_t* photo = pixels_.data() + std::min(first + slot, count() - 1) * photo_values();
      float* to = out + slot * photo_values();
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const std::size_t from = spec_.bgr ? 2 - channel : channel;
        for (std::size_t at = 0; at < area; ++at) {
          const float value =
              (static_cast<float>(photo[3 * at + from]) - spec_.mean[channel]) / spec_.std[channel];
          to[channels_last_ ? 3 * at + channel : channel * area + at] = value;
        }
      }
    }
  }

 private:
  std::size_t photo_values() const {
    return 3 * static_cast<std::size_t>(spec_.width) * static_cast<std::size_t>(spec_.height);
  }

  PreprocessSpec spec_;
  std::span<const std::uint8_t> pixels_;
  bool channels_last_ = false;
};

void watch(Seen& seen, const float* values, const ov::Shape& shape, std::size_t stride) {
  const std::size_t channels = shape.at(1), batch = shape.at(0);
  const std::size_t area = ov::shape_size(shape) / batch / channels;
  seen.channels.resize(channels);
  for (std::size_t at = 0; at < ov::shape_size(shape); at += stride) seen.sample.push_back(values[at]);
  for (std::size_t slice = 0; slice < batch * channels; ++slice) {
    double sum = 0;
    for (const float value : std::span(values + slice * area, area)) {
      sum += value;
      seen.least = std::min(seen.least, value);
      seen.most = std::max(seen.most, value);
    }
    seen.channels[slice % channels] += sum;
  }
  seen.per_channel += batch * area;
}

// Runs the photos through the part of `network` that makes `tensors`, in float32 where nothing is quantized.
std::map<std::string, Seen> look_at(ov::Core& core, const onnx::ModelProto& network,
                                    const std::vector<std::string>& tensors, const Photos& photos,
                                    std::stop_token stop) {
  onnx::ModelProto part = network;
  prune_onnx(part, tensors);
  std::shared_ptr<ov::Model> graph = core.read_model(serialize_onnx(part), ov::Tensor());
  graph->reshape(ov::PartialShape(photos.shape()));
  ov::CompiledModel compiled =
      core.compile_model(graph, "CPU",
                         {ov::hint::inference_precision(ov::element::f32), ov::num_streams(1),
                          ov::inference_num_threads(cpu_budget()), ov::hint::enable_cpu_pinning(false)});
  ov::InferRequest request = compiled.create_infer_request();
  std::map<std::string, Seen> result;
  for (std::size_t first = 0; first < photos.count() && !stop.stop_requested(); first += kBatch) {
    photos.fill(first, request.get_input_tensor().data<float>());
    request.infer();
    for (const std::string& tensor : tensors) {
      const ov::Tensor values = request.get_tensor(tensor);
      const std::size_t all = values.get_size() * ((photos.count() + kBatch - 1) / kBatch);
      // An odd stride does not keep to the same columns of a map.
      watch(result[tensor], values.data<const float>(), values.get_shape(), (all / kValuesPerTensor) | 1);
    }
  }
  return result;
}

Scale scale_of(float least, float most) {
  Scale scale;
  scale.step = std::max((most - least) / 255, std::numeric_limits<float>::min());
  scale.zero = static_cast<std::uint8_t>(std::clamp(std::nearbyint(-least / scale.step), 0.0F, 255.0F));
  return scale;
}

// Of the ranges from kNarrowestRange of what was seen up to all of it, the one with the least squared error.
Scale best_scale(const Seen& seen) {
  Scale best;
  double least_error = std::numeric_limits<double>::infinity();
  for (int step = 0; step < kRangesTried; ++step) {
    const float share =
        kNarrowestRange + (1 - kNarrowestRange) * static_cast<float>(step) / (kRangesTried - 1);
    const Scale scale = scale_of(seen.least * share, seen.most * share);
    const auto zero = static_cast<float>(scale.zero);
    double error = 0;
    for (const float value : seen.sample) {
      const float level = std::clamp(std::nearbyint(value / scale.step) + zero, 0.0F, 255.0F);
      const float off = (level - zero) * scale.step - value;
      error += off * off;
    }
    if (error < least_error) least_error = error, best = scale;
  }
  return best;
}

onnx::NodeProto node(const char* type, const std::vector<std::string>& inputs, const std::string& output) {
  onnx::NodeProto result;
  result.set_op_type(type);
  result.set_name(output);
  for (const std::string& input : inputs) result.add_input(input);
  result.add_output(output);
  return result;
}

// Replaces float weights by 8-bit ones; the nodes that read them read what `x/dq` makes of them.
void quantize_weights(onnx::GraphProto& graph, const Convolution& one) {
  onnx::TensorProto& tensor = *initializer(graph, one.weights);
  const std::vector<float> values = floats(tensor);
  const auto channels = static_cast<std::size_t>(one.channels);
  const std::size_t each = values.size() / channels;
  std::vector<float> steps(channels);
  std::vector<std::int8_t> levels(values.size());
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::span<const float> row(values.data() + channel * each, each);
    float largest = 0;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    const float step = largest > 0 ? largest / 127 : 1;
    steps[channel] = step;
    for (std::size_t at = 0; at < each; ++at) {
      levels[channel * each + at] = static_cast<std::int8_t>(std::nearbyint(row[at] / step));
    }
  }
  set_values(tensor, onnx::TensorProto::INT8, levels);
  add_initializer(graph, one.weights + "/step", onnx::TensorProto::FLOAT, steps, {one.channels});
  add_initializer(graph, one.weights + "/zero", onnx::TensorProto::INT8, std::vector<std::int8_t>(channels),
                  {one.channels});
}

// Puts the pairs into the graph.
void insert_pairs(onnx::GraphProto& graph, const std::vector<Convolution>& convolutions,
                  const std::map<std::string, Scale>& scales) {
  std::map<std::string, const Convolution*> by_output;
  for (const Convolution& one : convolutions) by_output[one.output] = &one;
  std::set<std::string> paired;
  google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes;
  for (onnx::NodeProto& old : *graph.mutable_node()) {
    const auto found = is_convolution(old) ? by_output.find(old.output(0)) : by_output.end();
    if (found != by_output.end()) {
      const Convolution& one = *found->second;
      if (paired.insert(one.input).second) {
        const Scale scale = scales.at(one.input);
        add_initializer<float>(graph, one.input + "/step", onnx::TensorProto::FLOAT, {scale.step}, {});
        add_initializer<std::uint8_t>(graph, one.input + "/zero", onnx::TensorProto::UINT8, {scale.zero}, {});
        *nodes.Add() =
            node("QuantizeLinear", {one.input, one.input + "/step", one.input + "/zero"}, one.input + "/q");
        *nodes.Add() = node("DequantizeLinear", {one.input + "/q", one.input + "/step", one.input + "/zero"},
                            one.input + "/dq");
      }
      quantize_weights(graph, one);
      onnx::NodeProto weights =
          node("DequantizeLinear", {one.weights, one.weights + "/step", one.weights + "/zero"},
               one.weights + "/dq");
      onnx::AttributeProto& axis = *weights.add_attribute();
      axis.set_name("axis");
      axis.set_type(onnx::AttributeProto::INT);
      axis.set_i(0);
      *nodes.Add() = std::move(weights);
      old.set_input(0, one.input + "/dq");
      old.set_input(1, one.weights + "/dq");
    }
    *nodes.Add() = std::move(old);
  }
  graph.mutable_node()->Swap(&nodes);
}

void report(const Hooks& hooks, std::size_t done, std::size_t total) {
  if (!hooks.progress) return;
  Progress progress;
  progress.unit = "convolutions";
  progress.done = done;
  progress.total = total;
  hooks.progress(progress);
}

}  // namespace

QuantizedNetwork quantize_network(const onnx::ModelProto& network, const PreprocessSpec& spec,
                                  std::span<const std::uint8_t> pixels, const Hooks& hooks,
                                  std::stop_token stop) {
  check_opset(network);
  const Photos photos(network.graph(), spec, pixels);
  if (photos.count() == 0)
    throw Error(ErrorCode::kUsage, "there are no photos to choose the 8-bit ranges by");
  QuantizedNetwork result;
  result.model = std::make_shared<onnx::ModelProto>(network);
  onnx::GraphProto& graph = *result.model->mutable_graph();
  result.convolutions = static_cast<int>(std::ranges::count_if(graph.node(), is_convolution));
  const std::vector<Convolution> convolutions = dense_convolutions(graph);
  result.quantized = static_cast<int>(convolutions.size());
  if (convolutions.empty()) {
    throw Error(ErrorCode::kUnavailable,
                "it has no dense convolutions with plain float32 weights: there is nothing to quantize");
  }
  try {
    ov::Core core;
    std::set<std::string> names;
    for (const Convolution& one : convolutions) names.insert({one.input, one.output});
    const auto plain = look_at(core, network, {names.begin(), names.end()}, photos, stop);
    std::map<std::string, Scale> scales;
    for (const Convolution& one : convolutions) {
      if (!stop.stop_requested()) scales.try_emplace(one.input, best_scale(plain.at(one.input)));
    }
    if (stop.stop_requested()) return result;
    insert_pairs(graph, convolutions, scales);
    for (std::size_t at = 0; at < convolutions.size(); ++at) {
      const Convolution& one = convolutions[at];
      report(hooks, at, convolutions.size());
      const auto rounded = look_at(core, *result.model, {one.output}, photos, stop);
      if (stop.stop_requested()) return result;
      const std::vector<double> want = plain.at(one.output).means(), got = rounded.at(one.output).means();
      onnx::TensorProto& tensor = *initializer(graph, one.bias);
      std::vector<float> bias = floats(tensor);
      for (std::size_t channel = 0; channel < bias.size(); ++channel) {
        bias[channel] += static_cast<float>(want[channel] - got[channel]);
      }
      set_values(tensor, onnx::TensorProto::FLOAT, bias);
    }
    report(hooks, convolutions.size(), convolutions.size());
    std::vector<std::string> outputs;  // what they do not need goes: the biases that were replaced
    for (const auto& output : graph.output()) outputs.push_back(output.name());
    prune_onnx(*result.model, outputs);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kFormat, "OpenVINO cannot run this network: " + openvino_reason(error));
  }
  return result;
}

}  // namespace pomona
