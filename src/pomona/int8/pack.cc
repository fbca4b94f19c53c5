// SPDX-License-Identifier: Apache-2.0
#include "pomona/int8/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "pomona/base/aligned.h"

namespace pomona::int8 {
namespace {

constexpr float kSix = 6;
constexpr float kFinest = 24;         // depthwise sums count at least so finely below a byte's step
constexpr float kLeastLimit = 1e-3F;  // of a channel
constexpr int kMargin = 32;           // of the 16 bits, for what rounding adds
constexpr float kLargestMean = 900;   // that a pixel's 16 bits have room for

int rounded_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Which output channel stands in a lane of a register of columns.
class Order {
 public:
  // `in_planes`: in the order that packing two registers into a plane undoes.
  Order(const Layout& layout, bool in_planes) : layout_(layout), in_planes_(in_planes) {}

  int operator()(int column, int lane) const {
    if (!in_planes_) return column * layout_.columns + lane;
    return column / 2 * layout_.lanes() + layout_.channel_of_lane(column % 2 * layout_.columns + lane);
  }

 private:
  Layout layout_;
  bool in_planes_;
};

// Weights, four bytes of T a step, in panels of so many registers; channels beyond the last one are nothing.
template <typename T, typename Weight>
Panels pack(int outputs, int inputs, int columns, const Layout& layout, const Order& channel,
            const Weight& weight) {
  constexpr int kEach = 4 / sizeof(T);
  Panels panels;
  panels.columns = columns;
  panels.steps = (inputs + kEach - 1) / kEach;
  panels.weights = allocate_aligned<std::int8_t>(size_of(columns, panels.steps, layout.register_bytes()));
  panels.scale = allocate_aligned<float>(size_of(columns, layout.columns));
  panels.bias = allocate_aligned<float>(size_of(columns, layout.columns));
  std::int8_t* to = panels.weights.get();
  for (int first = 0; first < columns;) {
    const int wide = std::min(layout.panel, columns - first);
    for (int step = 0; step < panels.steps; ++step) {
      for (int column = first; column < first + wide; ++column) {
        for (int lane = 0; lane < layout.columns; ++lane) {
          for (int part = 0; part < kEach; ++part, to += sizeof(T)) {
            const int output = channel(column, lane), input = step * kEach + part;
            const T value = output < outputs && input < inputs ? weight(output, input) : T{0};
            std::memcpy(to, &value, sizeof value);
          }
        }
      }
    }
    first += wide;
  }
  return panels;
}

float limited(float most) {
  return most < kSix ? std::max(most, kLeastLimit) : kSix;
}

// What the channels of a map can reach after ReLU6, whatever the photo; the fixed point counts kOne for it.
std::vector<float> limits(const Pointwise& one) {
  std::vector<float> result;
  for (int output = 0; output < one.out; ++output) {
    const std::int8_t* row = one.weights.data() + size_of(output, one.in);
    float most = one.bias[static_cast<std::size_t>(output)];
    for (int input = 0; input < one.in; ++input) {
      const auto level = static_cast<float>(row[input] > 0 ? 255 - one.zero : -one.zero);
      most += one.scale[static_cast<std::size_t>(output)] * static_cast<float>(row[input]) * level;
    }
    result.push_back(limited(most));
  }
  return result;
}

// `limits`: of the map in fixed point it makes, or none for one in floating point.
Panels pack(const Pointwise& one, const std::vector<float>& limit, const Layout& layout) {
  const bool to_planes = !limit.empty();
  const int columns = rounded_up(one.out, to_planes ? layout.lanes() : layout.columns) / layout.columns;
  const Order channel(layout, to_planes);
  const auto weight = [&](int output, int input) {
    return one.weights[size_of(output, one.in) + static_cast<std::size_t>(input)];
  };
  Panels panels = layout.value_bytes == 1
                      ? pack<std::int8_t>(one.out, one.in, columns, layout, channel, weight)
                      : pack<std::int16_t>(one.out, one.in, columns, layout, channel, weight);
  for (int column = 0; column < columns; ++column) {
    for (int lane = 0; lane < layout.columns; ++lane) {
      const auto output = static_cast<std::size_t>(channel(column, lane));
      if (output >= static_cast<std::size_t>(one.out)) continue;
      const float unit = to_planes ? limit[output] / kOne : 1;
      const auto* row = one.weights.data() + output * static_cast<std::size_t>(one.in);
      const auto sum = static_cast<float>(std::accumulate(row, row + one.in, 0) * one.zero);
      const std::size_t at = size_of(column, layout.columns) + static_cast<std::size_t>(lane);
      panels.scale[at] = one.scale[output] / unit;
      panels.bias[at] = (one.bias[output] - one.scale[output] * sum) / unit;
    }
  }
  return panels;
}

// `limits`: of the map it reads.
Taps pack(const Depthwise& one, const std::vector<float>& limits, const Layout& layout) {
  const int lanes = layout.lanes();
  Taps taps;
  taps.size = one.window.size;
  taps.stride = one.window.stride;
  taps.planes = rounded_up(one.channels, lanes) / lanes;
  const int area = taps.size * taps.size;
  taps.weights = allocate_aligned<std::int16_t>(size_of(taps.planes, area, lanes));
  taps.bias = allocate_aligned<std::int16_t>(size_of(taps.planes, lanes));
  taps.factor = allocate_aligned<std::int16_t>(size_of(taps.planes, lanes));
  // Saturation is the clip at 6.0.
  if (one.step * 255 > 6 + one.step / 2) throw Refused{"a depthwise convolution's bytes reach beyond 6.0"};
  for (int channel = 0; channel < one.channels; ++channel) {
    const float* weights = one.weights.data() + size_of(channel, area);
    float above = 0, below = 0;
    for (int at = 0; at < area; ++at) (weights[at] > 0 ? above : below) += std::abs(weights[at]);
    const float bias = one.bias[static_cast<std::size_t>(channel)];
    const float limit = limits[static_cast<std::size_t>(channel)];
    // No sum of some of the taps leaves the 16 bits, and neither do the bias and 6.0.
    const float unit =
        std::max({limit * above, limit * below, std::abs(bias), kSix, one.step / kFinest * kOne}) /
        static_cast<float>(kOne - kMargin);
    // A step below the one that fits makes a factor beyond 16 bits; so do weights beyond all measure.
    if (!(unit / one.step * 32768 <= kOne)) {
      throw Refused{"a depthwise convolution's weights are too large for 16 bits"};
    }
    const long factor = std::lround(unit / one.step * 32768);
    const std::size_t lane = size_of(channel / lanes, lanes) + static_cast<std::size_t>(channel % lanes);
    taps.bias[lane] = static_cast<std::int16_t>(std::lround(bias / unit));
    taps.factor[lane] = static_cast<std::int16_t>(factor);
    for (int at = 0; at < area; ++at) {
      const long weight = std::lround(weights[at] * (limit / kOne / unit) * 32768);
      const std::size_t place =
          size_of(channel / lanes * area + at, lanes) + static_cast<std::size_t>(channel % lanes);
      taps.weights[place] = static_cast<std::int16_t>(std::clamp<long>(weight, -kOne, kOne));
    }
  }
  return taps;
}

void lay_out(PackedBlock& block, const Layout& layout) {
  const Window& w = block.window;
  block.lanes = layout.lanes();
  block.planes = block.taps.planes;
  block.columns = std::max(w.left + w.in_width, (w.out_width - 1) * w.stride + w.size);
  const std::size_t row_bytes = block.row() * static_cast<std::size_t>(block.planes) * sizeof(std::int16_t);
  const int fitting = static_cast<int>(
      std::min<std::size_t>(layout.strip_bytes / row_bytes, static_cast<std::size_t>(w.in_height)));
  block.strip = std::clamp((fitting - w.size) / w.stride + 1, 1, w.out_height);
  if (fitting >= w.in_height) block.strip = w.out_height;
  block.ring = std::min(w.in_height, (block.strip - 1) * w.stride + w.size);
  for (int row = 0; row < 2 * block.ring; ++row) {
    for (int column = 0; column < w.in_width; ++column) {
      block.offsets.push_back(static_cast<std::uint32_t>(size_of(row % block.ring) * block.row() +
                                                         size_of(w.left + column, block.lanes)));
    }
  }
}

}  // namespace

WideStem pack_stem(const Stem& stem, const Pixels& pixels, const Layout& layout) {
  WideStem wide;
  wide.window = stem.window;
  const int size = stem.window.size, patch = size * size * 3;
  constexpr float kPixelUnit = 1 << kPixelShift;
  float largest = 0;
  std::array<int, 3> network_channel{};  // of a pixel's byte
  for (int byte = 0; byte < 3; ++byte) {
    const int channel = pixels.bgr ? 2 - byte : byte;
    network_channel[static_cast<std::size_t>(byte)] = channel;
    const float mean = pixels.mean[static_cast<std::size_t>(channel)];
    if (!(std::abs(mean) < kLargestMean) || !(pixels.std[static_cast<std::size_t>(channel)] > 0)) {
      throw Refused{"its pixels are prepared in an unusual way"};
    }
    const auto shift = static_cast<std::int16_t>(std::lround(mean * kPixelUnit));
    for (std::size_t at = static_cast<std::size_t>(byte); at < wide.shift.size(); at += 3)
      wide.shift[at] = shift;
    largest = std::max({largest, std::abs(static_cast<float>(shift)), std::abs(255 * kPixelUnit - shift)});
  }
  if (largest > std::numeric_limits<std::int16_t>::max())
    throw Refused{"its pixels are prepared in an unusual way"};
  // In the order of a gathered patch: row, column, byte of the pixel.
  std::vector<float> weights(size_of(stem.channels, patch));
  for (int channel = 0; channel < stem.channels; ++channel) {
    for (int at = 0; at < size * size; ++at) {
      for (int byte = 0; byte < 3; ++byte) {
        const int from = network_channel[static_cast<std::size_t>(byte)];
        weights[size_of(channel, patch) + static_cast<std::size_t>(at * 3 + byte)] =
            stem.weights[size_of(channel, patch) + static_cast<std::size_t>(from * size * size + at)] /
            (pixels.std[static_cast<std::size_t>(from)] * kPixelUnit);
      }
    }
  }
  for (int channel = 0; channel < stem.channels; ++channel) {
    float most = stem.bias[static_cast<std::size_t>(channel)];
    for (int at = 0; at < patch; ++at) {
      const float weight = weights[size_of(channel, patch) + static_cast<std::size_t>(at)];
      const auto shift = static_cast<float>(wide.shift[static_cast<std::size_t>(at % 3)]);
      // A pixel that is not there counts nothing.
      most += std::max({weight * (255 * kPixelUnit - shift), weight * -shift, 0.0F});
    }
    wide.limits.push_back(limited(most));
  }
  // As fine as 16-bit weights and 32-bit sums allow.
  std::vector<float> fine(static_cast<std::size_t>(stem.channels), 1);
  for (int channel = 0; channel < stem.channels; ++channel) {
    float most = 0, sum = 0;
    for (int at = 0; at < patch; ++at) {
      const float weight = std::abs(weights[size_of(channel, patch) + static_cast<std::size_t>(at)]);
      most = std::max(most, weight);
      sum += weight;
    }
    if (most == 0) continue;
    const float result = std::min(32767 / most, 2.1e9F / (sum * largest));
    if (!std::isfinite(result)) throw Refused{"its first convolution has unusual weights"};
    fine[static_cast<std::size_t>(channel)] = result;
  }
  const int columns = rounded_up(stem.channels, layout.lanes()) / layout.columns;
  const Order channel_of(layout, true);
  wide.panels =
      pack<std::int16_t>(stem.channels, patch, columns, layout, channel_of, [&](int output, int input) {
        return static_cast<std::int16_t>(
            std::lround(weights[size_of(output, patch) + static_cast<std::size_t>(input)] *
                        fine[static_cast<std::size_t>(output)]));
      });
  for (int column = 0; column < columns; ++column) {
    for (int lane = 0; lane < layout.columns; ++lane) {
      const auto output = static_cast<std::size_t>(channel_of(column, lane));
      if (output >= fine.size()) continue;
      const std::size_t at = size_of(column, layout.columns) + static_cast<std::size_t>(lane);
      const float unit = wide.limits[output] / kOne;
      wide.panels.scale[at] = 1 / (fine[output] * unit);
      wide.panels.bias[at] = stem.bias[output] / unit;
    }
  }
  const Window& w = wide.window;
  wide.row_values = 3 * std::max(w.left + w.in_width, (w.out_width - 1) * w.stride + w.size) +
                    static_cast<int>(kSlack);  // a gathered register may read beyond the last patch
  wide.patch_bytes = wide.panels.steps * 4;
  return wide;
}

PackedBlock pack_block(const ChainBlock& block, const std::vector<float>& stem_limits, const Layout& layout) {
  PackedBlock packed;
  const std::vector<float> map_limits = block.expand ? limits(*block.expand) : stem_limits;
  if (block.expand) packed.expand = pack(*block.expand, map_limits, layout);
  packed.taps = pack(block.depthwise, map_limits, layout);
  if (block.project) packed.project = pack_linear(*block.project, layout);
  packed.window = block.depthwise.window;
  packed.adds_input = block.adds_input;
  packed.inverse_step = 1 / block.step;
  packed.zero = static_cast<float>(block.zero);
  lay_out(packed, layout);
  const std::size_t depthwise_values = size_of(packed.planes, packed.lanes);
  packed.out_values = packed.project ? size_of(packed.project->columns, layout.columns) : depthwise_values;
  packed.depthwise_stride = depthwise_values * static_cast<std::size_t>(layout.value_bytes);
  packed.out_stride = packed.out_values * static_cast<std::size_t>(layout.value_bytes);
  return packed;
}

Panels pack_linear(const Pointwise& one, const Layout& layout) {
  return pack(one, {}, layout);
}

}  // namespace pomona::int8
