// SPDX-License-Identifier: Apache-2.0
#include "pomona/int8/integer_network.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <onnx/onnx_pb.h>

#include "pomona/base/aligned.h"
#include "pomona/int8/kernels.h"
#include "pomona/int8/mobile_chain.h"

namespace pomona {
namespace {

using namespace int8;

constexpr std::size_t kStripBytes =
    384 << 10;  // of the expanded map: with what goes with it, half a usual L2 cache
constexpr float kSix = 6;
constexpr float kFinest = 24;         // depthwise sums count at least so finely below a byte's step
constexpr float kLeastLimit = 1e-3F;  // of a channel
constexpr int kMargin = 32;           // of the 16 bits, for what rounding adds
constexpr float kLargestMean = 900;   // that a pixel's 16 bits have room for

struct Refused {
  std::string why;
};

std::size_t size_of(int a, int b = 1, int c = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b) * static_cast<std::size_t>(c);
}

int rounded_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Weights of `bytes` values each, four bytes a step, in panels; `channel(register, lane)` says which output
// stands where, beyond the last one = nothing.
template <typename T, typename Channel, typename Weight>
Panels pack(int outputs, int inputs, int columns, const Channel& channel, const Weight& weight) {
  constexpr int kEach = 4 / sizeof(T);
  Panels panels;
  panels.columns = columns;
  panels.steps = (inputs + kEach - 1) / kEach;
  panels.weights = allocate_aligned<std::int8_t>(size_of(columns, panels.steps, 64));
  panels.scale = allocate_aligned<float>(size_of(columns, kColumns));
  panels.bias = allocate_aligned<float>(size_of(columns, kColumns));
  std::int8_t* to = panels.weights.get();
  for (int first = 0; first < columns;) {
    const int wide = std::min(4, columns - first);
    for (int step = 0; step < panels.steps; ++step) {
      for (int column = first; column < first + wide; ++column) {
        for (int lane = 0; lane < kColumns; ++lane) {
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

int natural(int column, int lane) {
  return column * kColumns + lane;
}

// In the order that packing two registers into a plane undoes.
int in_planes(int column, int lane) {
  return column / 2 * kLanes + channel_of_lane(column % 2 * kColumns + lane);
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
Panels pack(const Pointwise& one, const std::vector<float>& limit) {
  const bool to_planes = !limit.empty();
  const int columns =
      to_planes ? rounded_up(one.out, kLanes) / kColumns : rounded_up(one.out, kColumns) / kColumns;
  const auto channel = to_planes ? in_planes : natural;
  Panels panels = pack<std::int8_t>(one.out, one.in, columns, channel, [&](int output, int input) {
    return one.weights[size_of(output, one.in) + static_cast<std::size_t>(input)];
  });
  for (int column = 0; column < columns; ++column) {
    for (int lane = 0; lane < kColumns; ++lane) {
      const auto output = static_cast<std::size_t>(channel(column, lane));
      if (output >= static_cast<std::size_t>(one.out)) continue;
      const float unit = to_planes ? limit[output] / kOne : 1;
      const auto* row = one.weights.data() + output * static_cast<std::size_t>(one.in);
      const auto sum = static_cast<float>(std::accumulate(row, row + one.in, 0) * one.zero);
      const std::size_t at = size_of(column, kColumns) + static_cast<std::size_t>(lane);
      panels.scale[at] = one.scale[output] / unit;
      panels.bias[at] = (one.bias[output] - one.scale[output] * sum) / unit;
    }
  }
  return panels;
}

// The stem as it is computed: on (x - mean) of the pixels as they come, RGB, in 16-bit fixed point.
struct WideStem {
  Window window;
  Panels panels;
  std::array<std::int16_t, 48> shift{};  // the means, 16 times
  std::vector<float> limits;             // as limits()
  int row_values = 0;                    // of a widened row with its zeros
  int patch_bytes = 0;                   // of one output's inputs side by side
};

WideStem pack(const Stem& stem, const PreprocessSpec& spec) {
  WideStem wide;
  wide.window = stem.window;
  const int size = stem.window.size, patch = size * size * 3;
  constexpr float kPixelUnit = 1 << kPixelShift;
  float largest = 0;
  std::array<int, 3> network_channel{};  // of a pixel's byte
  for (int byte = 0; byte < 3; ++byte) {
    const int channel = spec.bgr ? 2 - byte : byte;
    network_channel[static_cast<std::size_t>(byte)] = channel;
    const float mean = spec.mean[static_cast<std::size_t>(channel)];
    if (!(std::abs(mean) < kLargestMean) || !(spec.std[static_cast<std::size_t>(channel)] > 0)) {
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
            (spec.std[static_cast<std::size_t>(from)] * kPixelUnit);
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
  const int columns = rounded_up(stem.channels, kLanes) / kColumns;
  wide.panels = pack<std::int16_t>(stem.channels, patch, columns, in_planes, [&](int output, int input) {
    return static_cast<std::int16_t>(
        std::lround(weights[size_of(output, patch) + static_cast<std::size_t>(input)] *
                    fine[static_cast<std::size_t>(output)]));
  });
  for (int column = 0; column < columns; ++column) {
    for (int lane = 0; lane < kColumns; ++lane) {
      const auto output = static_cast<std::size_t>(in_planes(column, lane));
      if (output >= fine.size()) continue;
      const std::size_t at = size_of(column, kColumns) + static_cast<std::size_t>(lane);
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

// `limits`: of the map it reads.
Taps pack(const Depthwise& one, const std::vector<float>& limits) {
  Taps taps;
  taps.size = one.window.size;
  taps.stride = one.window.stride;
  taps.planes = rounded_up(one.channels, kLanes) / kLanes;
  const int area = taps.size * taps.size;
  taps.weights = allocate_aligned<std::int16_t>(size_of(taps.planes, area, kLanes));
  taps.bias = allocate_aligned<std::int16_t>(size_of(taps.planes, kLanes));
  taps.factor = allocate_aligned<std::int16_t>(size_of(taps.planes, kLanes));
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
    const std::size_t lane = size_of(channel / kLanes, kLanes) + static_cast<std::size_t>(channel % kLanes);
    taps.bias[lane] = static_cast<std::int16_t>(std::lround(bias / unit));
    taps.factor[lane] = static_cast<std::int16_t>(factor);
    for (int at = 0; at < area; ++at) {
      const long weight = std::lround(weights[at] * (limit / kOne / unit) * 32768);
      const std::size_t place =
          size_of(channel / kLanes * area + at, kLanes) + static_cast<std::size_t>(channel % kLanes);
      taps.weights[place] = static_cast<std::int16_t>(std::clamp<long>(weight, -kOne, kOne));
    }
  }
  return taps;
}

// A block and how its maps lie in memory.
struct PackedBlock {
  std::optional<Panels> expand;
  Taps taps;
  std::optional<Panels> project;
  Window window;
  bool adds_input = false;
  bool keeps = false;  // the next one adds this one's output
  float inverse_step = 1;
  float zero = 0;

  int planes = 0;
  int columns = 0;                     // of the padded fixed-point map
  int ring = 0;                        // its rows that are there at once
  int strip = 0;                       // output rows computed at once
  std::vector<std::uint32_t> offsets;  // of two times `ring` rows of pixels
  std::size_t in_stride = 0;           // bytes of an input pixel
  std::size_t out_stride = 0;          // and of an output pixel

  std::size_t row() const { return size_of(columns, kLanes); }
  std::size_t plane() const { return size_of(ring) * row(); }
  std::size_t depthwise_stride() const { return size_of(planes, kLanes); }
};

void lay_out(PackedBlock& block) {
  const Window& w = block.window;
  block.planes = block.taps.planes;
  block.columns = std::max(w.left + w.in_width, (w.out_width - 1) * w.stride + w.size);
  const std::size_t row_bytes = block.row() * static_cast<std::size_t>(block.planes) * sizeof(std::int16_t);
  const int fitting =
      static_cast<int>(std::min<std::size_t>(kStripBytes / row_bytes, static_cast<std::size_t>(w.in_height)));
  block.strip = std::clamp((fitting - w.size) / w.stride + 1, 1, w.out_height);
  if (fitting >= w.in_height) block.strip = w.out_height;
  block.ring = std::min(w.in_height, (block.strip - 1) * w.stride + w.size);
  for (int row = 0; row < 2 * block.ring; ++row) {
    for (int column = 0; column < w.in_width; ++column) {
      block.offsets.push_back(static_cast<std::uint32_t>(size_of(row % block.ring) * block.row() +
                                                         size_of(w.left + column, kLanes)));
    }
  }
}

}  // namespace

struct IntegerNetwork::Impl {
  WideStem stem;
  std::vector<PackedBlock> blocks;
  Panels head;
  std::size_t head_stride = 0;
  int map_pixels = 0;
  int dimension = 0;
  bool flat = false;
  std::size_t photo_bytes = 0;
  // Largest of what the blocks need.
  std::size_t bytes = 0, kept = 0, expanded = 0, depthwise = 0, zero_row = 0, widened = 0, patches = 0,
              rows = 0;
};

struct IntegerNetwork::Scratch::Impl {
  std::array<Aligned<std::uint8_t>, 2> bytes;  // block inputs and outputs, photo after photo
  std::array<Aligned<float>, 2> kept;
  Aligned<std::int16_t> expanded, zero_row, widened, patches;
  Aligned<std::uint8_t> depthwise;
  Aligned<float> features;
  std::vector<std::int32_t> rows;
};

IntegerNetwork::Scratch::Scratch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
IntegerNetwork::Scratch::~Scratch() = default;
IntegerNetwork::Scratch::Scratch(Scratch&&) noexcept = default;
IntegerNetwork::Scratch& IntegerNetwork::Scratch::operator=(Scratch&&) noexcept = default;

IntegerNetwork::IntegerNetwork(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

bool IntegerNetwork::runs_here() {
  return supported();
}

int IntegerNetwork::dimension() const {
  return impl_->dimension;
}

bool IntegerNetwork::flat() const {
  return impl_->flat;
}

std::expected<IntegerNetwork, std::string> IntegerNetwork::make(const onnx::ModelProto& network,
                                                                const std::string& tensor,
                                                                bool average_of_map,
                                                                const PreprocessSpec& spec) try {
  const auto chain = read_mobile_chain(network.graph(), tensor, average_of_map, spec.width, spec.height);
  if (!chain) return std::unexpected(chain.error());
  auto impl = std::make_shared<Impl>();
  impl->stem = pack(chain->stem, spec);
  impl->photo_bytes = size_of(spec.width, spec.height, 3);
  std::size_t stride = 0;
  for (std::size_t at = 0; at < chain->blocks.size(); ++at) {
    const Block& one = chain->blocks[at];
    PackedBlock block;
    const std::vector<float> limit = one.expand ? limits(*one.expand) : impl->stem.limits;
    if (one.expand) block.expand = pack(*one.expand, limit);
    block.taps = pack(one.depthwise, limit);
    if (one.project) block.project = pack(*one.project, {});
    block.window = one.depthwise.window;
    block.adds_input = one.adds_input;
    block.keeps = at + 1 < chain->blocks.size() && chain->blocks[at + 1].adds_input;
    block.inverse_step = 1 / one.step;
    block.zero = static_cast<float>(one.zero);
    lay_out(block);
    block.in_stride = stride;
    block.out_stride = block.project ? size_of(block.project->columns, kColumns) : block.depthwise_stride();
    stride = block.out_stride;
    const std::size_t out_pixels = size_of(block.window.out_height, block.window.out_width);
    impl->bytes = std::max(impl->bytes, out_pixels * block.out_stride);
    if (block.keeps) impl->kept = std::max(impl->kept, out_pixels * block.out_stride);
    impl->expanded = std::max(impl->expanded, block.plane() * static_cast<std::size_t>(block.planes));
    impl->zero_row = std::max(impl->zero_row, block.row());
    impl->depthwise =
        std::max(impl->depthwise, size_of(block.strip, block.window.out_width) * block.depthwise_stride());
    impl->rows = std::max(impl->rows, size_of(block.strip, block.window.size));
    if (at == 0) {
      const Window& w = impl->stem.window;
      impl->widened = size_of((block.ring - 1) * w.stride + w.size, impl->stem.row_values);
      impl->patches = size_of(block.ring, w.out_width, impl->stem.patch_bytes) / sizeof(std::int16_t);
    }
    impl->blocks.push_back(std::move(block));
  }
  impl->head = pack(chain->head, {});
  impl->head_stride = stride;
  impl->map_pixels = chain->map_height * chain->map_width;
  impl->dimension = chain->head.out;
  impl->flat = chain->flat;
  return IntegerNetwork(std::move(impl));
} catch (const Refused& refused) {
  return std::unexpected(refused.why);
}

IntegerNetwork::Scratch IntegerNetwork::make_scratch(int photos) const {
  auto scratch = std::make_unique<Scratch::Impl>();
  const auto count = static_cast<std::size_t>(photos);
  for (auto& bytes : scratch->bytes) bytes = allocate_aligned<std::uint8_t>(impl_->bytes * count + kSlack);
  for (auto& kept : scratch->kept) kept = allocate_aligned<float>(impl_->kept * count + kSlack);
  scratch->expanded = allocate_aligned<std::int16_t>(impl_->expanded + kSlack);
  scratch->zero_row = allocate_aligned<std::int16_t>(impl_->zero_row + kSlack);
  scratch->depthwise = allocate_aligned<std::uint8_t>(impl_->depthwise + kSlack);
  scratch->widened = allocate_aligned<std::int16_t>(impl_->widened + kSlack);
  scratch->patches = allocate_aligned<std::int16_t>(impl_->patches + kSlack);
  scratch->features = allocate_aligned<float>(size_of(impl_->head.columns, kColumns));
  scratch->rows.resize(impl_->rows);
  return Scratch(std::move(scratch));
}

namespace {

// Rows [first, last) of the map that the stem makes, into their places in the ring.
void run_stem(const WideStem& stem, const PackedBlock& block, const std::uint8_t* photo, int first, int last,
              std::int16_t* widened, std::int16_t* patches, std::int16_t* expanded) {
  const Window& w = stem.window;
  const int above = first * w.stride - w.top, below = (last - 1) * w.stride - w.top + w.size;
  const auto row_values = static_cast<std::size_t>(stem.row_values);
  for (int row = above; row < below; ++row) {
    std::int16_t* to = widened + static_cast<std::size_t>(row - above) * row_values;
    if (row < 0 || row >= w.in_height) {
      std::fill_n(to, row_values, std::int16_t{0});
      continue;
    }
    const int before = w.left * 3, values = w.in_width * 3;
    std::fill_n(to, before, std::int16_t{0});
    widen_row(photo + size_of(row, w.in_width, 3), w.in_width, stem.shift.data(), to + before);
    std::fill(to + before + values, to + row_values, std::int16_t{0});
  }
  const auto patch = static_cast<std::size_t>(stem.patch_bytes);
  std::array<const std::int16_t*, 7> window{};
  for (int row = first; row < last; ++row) {
    for (int i = 0; i < w.size; ++i) {
      window[static_cast<std::size_t>(i)] =
          widened + static_cast<std::size_t>((row - first) * w.stride + i) * row_values;
    }
    gather(window.data(), w.size, w.stride * 3, w.out_width,
           patches + size_of(row - first, w.out_width) * patch / sizeof(std::int16_t), patch);
  }
  expand_wide(patches, patch, (last - first) * w.out_width, stem.panels,
              block.offsets.data() + size_of(first % block.ring, w.out_width), expanded, block.plane());
}

// The zeros left and right of the map; nobody writes there while the block runs.
void clear_sides(const PackedBlock& block, std::int16_t* expanded) {
  const Window& w = block.window;
  const std::size_t before = size_of(w.left, kLanes), behind = size_of(w.left + w.in_width, kLanes);
  for (std::size_t row = 0; row < size_of(block.planes, block.ring); ++row) {
    std::int16_t* to = expanded + row * block.row();
    std::fill_n(to, before, std::int16_t{0});
    std::fill(to + behind, to + block.row(), std::int16_t{0});
  }
}

}  // namespace

void IntegerNetwork::infer(std::span<const std::uint8_t> pixels, int photos, Scratch& scratch,
                           std::span<float> features) const {
  Scratch::Impl& own = *scratch.impl_;
  std::size_t from = 0;  // which of the two buffers holds the input
  for (const PackedBlock& block : impl_->blocks) {
    const Window& w = block.window;
    const std::size_t to = 1 - from;
    clear_sides(block, own.expanded.get());
    for (int photo = 0; photo < photos; ++photo) {
      const auto number = static_cast<std::size_t>(photo);
      const std::uint8_t* input = own.bytes[from].get() + number * impl_->bytes;
      std::uint8_t* output = own.bytes[to].get() + number * impl_->bytes;
      int made = 0;  // rows of the expanded map
      for (int begin = 0; begin < w.out_height; begin += block.strip) {
        const int end = std::min(begin + block.strip, w.out_height);
        const int needed = std::clamp((end - 1) * w.stride - w.top + w.size, made, w.in_height);
        if (needed > made) {
          if (block.expand) {
            expand(input + size_of(made, w.in_width) * block.in_stride, block.in_stride,
                   (needed - made) * w.in_width, *block.expand,
                   block.offsets.data() + size_of(made % block.ring, w.in_width), own.expanded.get(),
                   block.plane());
          } else {
            run_stem(impl_->stem, block, pixels.data() + number * impl_->photo_bytes, made, needed,
                     own.widened.get(), own.patches.get(), own.expanded.get());
          }
        }
        made = needed;
        for (int row = begin; row < end; ++row) {
          for (int i = 0; i < w.size; ++i) {
            const int in_row = row * w.stride - w.top + i;
            own.rows[size_of(row - begin, w.size) + static_cast<std::size_t>(i)] =
                in_row < 0 || in_row >= w.in_height
                    ? kZeroRow
                    : static_cast<std::int32_t>(size_of(in_row % block.ring) * block.row());
          }
        }
        const std::size_t first_pixel = size_of(begin, w.out_width);
        std::uint8_t* bytes =
            block.project ? own.depthwise.get() : output + first_pixel * block.depthwise_stride();
        depthwise(own.expanded.get(), block.plane(), own.zero_row.get(), own.rows.data(), end - begin,
                  w.out_width, block.taps, bytes, block.depthwise_stride());
        if (!block.project) continue;
        const std::size_t place = number * impl_->kept + first_pixel * block.out_stride;
        Linear linear;
        linear.inverse_step = block.inverse_step;
        linear.zero = block.zero;
        linear.add = block.adds_input ? own.kept[from].get() + place : nullptr;
        linear.keep = block.keeps ? own.kept[to].get() + place : nullptr;
        linear.stride = block.out_stride;
        project(bytes, block.depthwise_stride(), (end - begin) * w.out_width, *block.project, linear,
                output + first_pixel * block.out_stride, block.out_stride);
      }
    }
    from = to;
  }
  for (int photo = 0; photo < photos; ++photo) {
    const auto number = static_cast<std::size_t>(photo);
    average(own.bytes[from].get() + number * impl_->bytes, impl_->head_stride, impl_->map_pixels, impl_->head,
            own.features.get());
    std::copy_n(own.features.get(), impl_->dimension,
                features.data() + number * static_cast<std::size_t>(impl_->dimension));
  }
}

}  // namespace pomona
