// SPDX-License-Identifier: Apache-2.0
#include "pomona/int8/integer_network.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <onnx/onnx_pb.h>

#include "pomona/base/aligned.h"
#include "pomona/base/cpu.h"
#include "pomona/int8/kernels.h"
#include "pomona/int8/pack.h"

namespace pomona {

using namespace int8;

struct IntegerNetwork::Impl {
  const Kernels* kernels = nullptr;
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

namespace {

// The fastest that this CPU can run, or what was asked for; else null.
const Kernels* kernels_for(std::optional<IntegerNetwork::Instructions> with) {
  using enum IntegerNetwork::Instructions;
  for (const auto& [instructions, kernels] :
       {std::pair(kAvx512Vnni, &avx512_kernels()), std::pair(kAvx2, &avx2_kernels())}) {
    if (with.value_or(instructions) == instructions && kernels->supported()) return kernels;
  }
  return nullptr;
}

}  // namespace

bool IntegerNetwork::runs_here(std::optional<Instructions> with) {
  return kernels_for(with) != nullptr;
}

int IntegerNetwork::dimension() const {
  return impl_->dimension;
}

bool IntegerNetwork::flat() const {
  return impl_->flat;
}

std::expected<IntegerNetwork, std::string> IntegerNetwork::make(const onnx::ModelProto& network,
                                                                const std::string& tensor,
                                                                bool average_of_map, const Pixels& photo,
                                                                std::optional<Instructions> with) try {
  const auto chain = read_mobile_chain(network.graph(), tensor, average_of_map, photo.width, photo.height);
  if (!chain) return std::unexpected(chain.error());
  const Kernels* kernels = kernels_for(with);
  if (kernels == nullptr) {
    return std::unexpected("this CPU (" + cpu_features().name + ") lacks the instructions: AVX2 with FMA" +
                           (with == Instructions::kAvx512Vnni ? ", AVX-512 with VNNI" : ""));
  }
  const Layout& layout = kernels->layout;
  auto impl = std::make_shared<Impl>();
  impl->kernels = kernels;
  impl->stem = pack_stem(chain->stem, photo, layout);
  impl->photo_bytes = size_of(photo.width, photo.height, 3);
  std::size_t stride = 0;
  for (std::size_t at = 0; at < chain->blocks.size(); ++at) {
    PackedBlock block = pack_block(chain->blocks[at], impl->stem.limits, layout);
    block.keeps = at + 1 < chain->blocks.size() && chain->blocks[at + 1].adds_input;
    block.in_stride = stride;
    stride = block.out_stride;
    const std::size_t out_pixels = size_of(block.window.out_height, block.window.out_width);
    impl->bytes = std::max(impl->bytes, out_pixels * block.out_stride);
    if (block.keeps) impl->kept = std::max(impl->kept, out_pixels * block.out_values);
    impl->expanded = std::max(impl->expanded, block.plane() * static_cast<std::size_t>(block.planes));
    impl->zero_row = std::max(impl->zero_row, block.row());
    impl->depthwise =
        std::max(impl->depthwise, size_of(block.strip, block.window.out_width) * block.depthwise_stride);
    impl->rows = std::max(impl->rows, size_of(block.strip, block.window.size));
    if (at == 0) {
      const Window& w = impl->stem.window;
      impl->widened = size_of((block.ring - 1) * w.stride + w.size, impl->stem.row_values);
      impl->patches = size_of(block.ring, w.out_width, impl->stem.patch_bytes) / sizeof(std::int16_t);
    }
    impl->blocks.push_back(std::move(block));
  }
  impl->head = pack_linear(chain->head, layout);
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
  scratch->features = allocate_aligned<float>(size_of(impl_->head.columns, impl_->kernels->layout.columns));
  scratch->rows.resize(impl_->rows);
  return Scratch(std::move(scratch));
}

namespace {

// Rows [first, last) of the map that the stem makes, into their places in the ring.
void run_stem(const Kernels& kernels, const WideStem& stem, const PackedBlock& block,
              const std::uint8_t* photo, int first, int last, std::int16_t* widened, std::int16_t* patches,
              std::int16_t* expanded) {
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
    kernels.widen_row(photo + size_of(row, w.in_width, 3), w.in_width, stem.shift.data(), to + before);
    std::fill(to + before + values, to + row_values, std::int16_t{0});
  }
  const auto patch = static_cast<std::size_t>(stem.patch_bytes);
  std::array<const std::int16_t*, 7> window{};
  for (int row = first; row < last; ++row) {
    for (int i = 0; i < w.size; ++i) {
      window[static_cast<std::size_t>(i)] =
          widened + static_cast<std::size_t>((row - first) * w.stride + i) * row_values;
    }
    kernels.gather(window.data(), w.size, w.stride * 3, w.out_width,
                   patches + size_of(row - first, w.out_width) * patch / sizeof(std::int16_t), patch);
  }
  kernels.expand_wide(reinterpret_cast<const std::uint8_t*>(patches), patch, (last - first) * w.out_width,
                      stem.panels, block.offsets.data() + size_of(first % block.ring, w.out_width), expanded,
                      block.plane());
}

// The zeros left and right of the map; nobody writes there while the block runs.
void clear_sides(const PackedBlock& block, std::int16_t* expanded) {
  const Window& w = block.window;
  const std::size_t before = size_of(w.left, block.lanes), behind = size_of(w.left + w.in_width, block.lanes);
  for (std::size_t row = 0; row < size_of(block.planes, block.ring); ++row) {
    std::int16_t* to = expanded + row * block.row();
    std::fill_n(to, before, std::int16_t{0});
    std::fill(to + behind, to + block.row(), std::int16_t{0});
  }
}

}  // namespace

void IntegerNetwork::infer(std::span<const std::uint8_t> pixels, int photos, Scratch& scratch,
                           std::span<float> features) const {
  const Kernels& kernels = *impl_->kernels;
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
            kernels.expand(input + size_of(made, w.in_width) * block.in_stride, block.in_stride,
                           (needed - made) * w.in_width, *block.expand,
                           block.offsets.data() + size_of(made % block.ring, w.in_width), own.expanded.get(),
                           block.plane());
          } else {
            run_stem(kernels, impl_->stem, block, pixels.data() + number * impl_->photo_bytes, made, needed,
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
            block.project ? own.depthwise.get() : output + first_pixel * block.depthwise_stride;
        kernels.depthwise(own.expanded.get(), block.plane(), own.zero_row.get(), own.rows.data(), end - begin,
                          w.out_width, block.taps, bytes, block.depthwise_stride);
        if (!block.project) continue;
        const std::size_t place = number * impl_->kept + first_pixel * block.out_values;
        Linear linear;
        linear.inverse_step = block.inverse_step;
        linear.zero = block.zero;
        linear.add = block.adds_input ? own.kept[from].get() + place : nullptr;
        linear.keep = block.keeps ? own.kept[to].get() + place : nullptr;
        linear.stride = block.out_values;
        kernels.project(bytes, block.depthwise_stride, (end - begin) * w.out_width, *block.project, linear,
                        output + first_pixel * block.out_stride, block.out_stride);
      }
    }
    from = to;
  }
  for (int photo = 0; photo < photos; ++photo) {
    const auto number = static_cast<std::size_t>(photo);
    kernels.average(own.bytes[from].get() + number * impl_->bytes, impl_->head_stride, impl_->map_pixels,
                    impl_->head, own.features.get());
    std::copy_n(own.features.get(), impl_->dimension,
                features.data() + number * static_cast<std::size_t>(impl_->dimension));
  }
}

}  // namespace pomona
