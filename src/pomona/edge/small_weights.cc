// SPDX-License-Identifier: Apache-2.0
#include "pomona/edge/small_weights.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "pomona/base/error.h"

namespace pomona {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"f32", "fp16", "int8"};
constexpr std::size_t kSmall = 256;  // numbers; below it nothing is gained

static_assert(std::endian::native == std::endian::little, "ONNX stores little-endian numbers");

std::vector<float> floats_of(const onnx::TensorProto& tensor) {
  if (tensor.has_raw_data()) {
    std::vector<float> values(tensor.raw_data().size() / sizeof(float));
    std::memcpy(values.data(), tensor.raw_data().data(), values.size() * sizeof(float));
    return values;
  }
  return {tensor.float_data().begin(), tensor.float_data().end()};
}

// IEEE 754 half precision with `bits` (1 to 10) of mantissa kept, rounded to nearest, ties to even. The value
// must be finite and at most 65504 in size.
std::uint16_t half_of(float value, int bits) {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(word >> 16 & 0x8000);
  const float size = std::abs(value);
  constexpr float kLeast = 0x1p-14F;  // of the normal halves
  if (size < kLeast) {
    const int dropped = 10 - bits;
    const float steps = std::nearbyint(std::ldexp(size, 24 - dropped));
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(steps) << dropped);
  }
  const std::uint32_t dropped = 23 - static_cast<std::uint32_t>(bits);
  std::uint32_t rounded = word & 0x7FFFFFFF;
  rounded += (1U << (dropped - 1)) - 1 + (rounded >> dropped & 1);
  rounded = rounded >> dropped << dropped;
  return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>((rounded >> 13) - (112U << 10)));
}

float float_of(std::uint16_t half) {
  const float size = (half & 0x7C00) == 0 ? std::ldexp(static_cast<float>(half & 0x3FF), -24)
                                          : std::bit_cast<float>(((half & 0x7FFFU) << 13) + (112U << 23));
  return (half & 0x8000) != 0 ? -size : size;
}

// The halves; none where they would be off by more than rounding is.
std::vector<std::uint16_t> halves_of(std::span<const float> values, int bits) {
  std::vector<std::uint16_t> halves;
  halves.reserve(values.size());
  double error = 0;
  double energy = 0;
  for (const float value : values) {
    if (!(std::abs(value) <= 65000.0F)) return {};
    halves.push_back(half_of(value, bits));
    const double off = static_cast<double>(value) - static_cast<double>(float_of(halves.back()));
    error += off * off;
    energy += static_cast<double>(value) * static_cast<double>(value);
  }
  const double allowed = std::ldexp(1.0, -bits - 1);
  if (error > allowed * allowed * energy) halves.clear();
  return halves;
}

// Of the network's own weights: what rounds off in the large matrices of late layers averages out.
int mantissa_bits(const onnx::TensorProto& tensor, std::size_t count) {
  constexpr std::size_t kLarge = 100'000;
  if (tensor.dims_size() < 2) return 10;
  return count >= kLarge ? 8 : 9;
}

class Rewriter {
 public:
  explicit Rewriter(onnx::GraphProto& graph) : graph_(graph) {}

  // `name` is what the stored tensor becomes; the stored one takes another name.
  void as_half(onnx::TensorProto& tensor, std::span<const std::uint16_t> halves) {
    const std::string name = tensor.name();
    set(tensor, name + "/fp16", onnx::TensorProto::FLOAT16, halves.data(), halves.size_bytes());
    cast(tensor.name(), name);
  }

  // Symmetric, one scale per slice along the first axis.
  void as_int8(onnx::TensorProto& tensor, std::span<const float> values) {
    const std::string name = tensor.name();
    const auto channels = static_cast<std::size_t>(tensor.dims(0));
    const std::size_t length = values.size() / channels;
    std::vector<std::int8_t> steps(values.size());
    std::vector<float> scales(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto slice = values.subspan(c * length, length);
      float most = 0;
      for (const float value : slice) most = std::max(most, std::abs(value));
      scales[c] = most > 0 ? most / 127.0F : 1.0F;
      for (std::size_t i = 0; i < length; ++i) {
        steps[c * length + i] = static_cast<std::int8_t>(std::lround(slice[i] / scales[c]));
      }
    }
    onnx::TensorProto& scale = *graph_.add_initializer();
    scale.set_name(name + "/scale");
    scale.set_data_type(onnx::TensorProto::FLOAT);
    scale.add_dims(tensor.dims(0));
    for (int axis = 1; axis < tensor.dims_size(); ++axis) scale.add_dims(1);
    scale.set_raw_data(scales.data(), scales.size() * sizeof(float));
    set(tensor, name + "/int8", onnx::TensorProto::INT8, steps.data(), steps.size());
    cast(tensor.name(), name + "/steps");
    node("Mul", {name + "/steps", name + "/scale"}, name);
  }

  // Puts the new nodes in front of the old ones.
  void finish() {
    google::protobuf::RepeatedPtrField<onnx::NodeProto> all = nodes_;
    for (auto& old : *graph_.mutable_node()) all.Add()->Swap(&old);
    graph_.mutable_node()->Swap(&all);
  }

 private:
  static void set(onnx::TensorProto& tensor, const std::string& name, int type, const void* bytes,
                  std::size_t size) {
    tensor.set_name(name);
    tensor.set_data_type(type);
    tensor.clear_float_data();
    tensor.set_raw_data(bytes, size);
  }

  onnx::NodeProto& node(const std::string& type, const std::vector<std::string>& inputs,
                        const std::string& output) {
    onnx::NodeProto& made = *nodes_.Add();
    made.set_op_type(type);
    made.set_name(output);
    for (const std::string& input : inputs) made.add_input(input);
    made.add_output(output);
    return made;
  }

  void cast(const std::string& from, const std::string& to) {
    auto& attribute = *node("Cast", {from}, to).add_attribute();
    attribute.set_name("to");
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(onnx::TensorProto::FLOAT);
  }

  onnx::GraphProto& graph_;
  google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes_;
};

}  // namespace

std::string_view to_string(WeightStorage storage) {
  return kNames[static_cast<std::size_t>(storage)];
}

WeightStorage parse_weight_storage(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found != kNames.end()) return static_cast<WeightStorage>(found - kNames.begin());
  throw Error(ErrorCode::kUsage,
              "unknown weights '" + std::string(name) + "'; they are one of fp16, int8, f32");
}

void store_weights(onnx::ModelProto& model, WeightStorage storage) {
  if (storage == WeightStorage::kFloat32) return;
  onnx::GraphProto& graph = *model.mutable_graph();
  Rewriter rewriter(graph);
  const int count = graph.initializer_size();
  for (int i = 0; i < count; ++i) {
    const onnx::TensorProto& tensor = graph.initializer(i);
    if (tensor.data_type() != onnx::TensorProto::FLOAT) continue;
    const std::vector<float> values = floats_of(tensor);
    if (values.size() < kSmall) continue;
    const bool own = !tensor.name().starts_with("pomona/");
    if (storage == WeightStorage::kInt8 && own && tensor.dims_size() >= 2) {
      if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
        rewriter.as_int8(*graph.mutable_initializer(i), values);
      }
      continue;
    }
    // A distance is judged by a threshold: its tensors stay exact, and are small.
    if (tensor.name().starts_with("pomona/unknown/")) continue;
    const std::vector<std::uint16_t> halves =
        halves_of(values, own ? mantissa_bits(tensor, values.size()) : 10);
    if (!halves.empty()) rewriter.as_half(*graph.mutable_initializer(i), halves);
  }
  rewriter.finish();
}

}  // namespace pomona
