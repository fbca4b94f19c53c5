// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/resize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/image/resize_kernels.h"

namespace pomona {
namespace {

constexpr std::array<std::string_view, 3> kKernelNames = {"bicubic", "bilinear", "nearest"};
constexpr std::array<std::string_view, 3> kFitNames = {"squash", "crop", "pad"};

template <typename E, std::size_t n>
E parse_name(std::string_view name, const std::array<std::string_view, n>& names, std::string_view what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<E>(found - names.begin());
  throw Error(ErrorCode::kUsage,
              fmt::format("unknown {} '{}'; it is one of {}", what, name, fmt::join(names, ", ")));
}

// Catmull-Rom (a = -0.5), as Pillow's bicubic_filter: the same operations in the same order.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// What a table of taps depends on: `out` pixels from [begin, end) of `in` pixels. Pillow keeps the box in
// single precision.
struct Axis {
  int in = 0;
  float begin = 0;
  float end = 0;
  int out = 0;
  Kernel kernel = Kernel::kBicubic;

  bool operator==(const Axis&) const = default;
  bool identity() const { return in == out && begin == 0 && end == static_cast<float>(out); }
};

struct Taps {
  Axis axis;
  kernels::TapTable table;
  int rows_begin = 0;  // the source positions in use
  int rows_end = 0;
  std::uint64_t used = 0;
};

// Pillow's precompute_coeffs and normalize_coeffs_8bpc (src/libImaging/Resample.c).
Taps make_taps(const Axis& axis) {
  const double scale = static_cast<double>(axis.end - axis.begin) / axis.out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = (axis.kernel == Kernel::kBicubic ? 2.0 : 1.0) * filter_scale;
  const double inverse = 1.0 / filter_scale;
  const auto padded = (static_cast<std::size_t>(axis.out) + 3) / 4 * 4;
  std::vector<int> first(padded);
  std::vector<int> count(padded);
  int most = 1;
  for (std::size_t i = 0; i < static_cast<std::size_t>(axis.out); ++i) {
    const double centre = axis.begin + (static_cast<double>(i) + 0.5) * scale;
    first[i] = std::max(0, static_cast<int>(centre - support + 0.5));
    count[i] = std::min(axis.in, static_cast<int>(centre + support + 0.5)) - first[i];
    most = std::max(most, count[i]);
  }
  Taps taps;
  taps.axis = axis;
  taps.table.outputs = axis.out;
  taps.table.chunks = (most + 3) / 4;
  const auto slots = static_cast<std::size_t>(taps.table.chunks) * 4;
  taps.table.words.resize(padded * slots);
  std::vector<double> weights(slots);
  std::vector<std::int32_t> fixed(slots);
  for (std::size_t i = 0; i < padded; ++i) {
    const double centre = axis.begin + (static_cast<double>(i) + 0.5) * scale;
    double sum = 0.0;
    for (int tap = 0; tap < count[i]; ++tap) {
      const double at = (tap + first[i] - centre + 0.5) * inverse;
      const double weight = axis.kernel == Kernel::kBicubic ? bicubic(at) : bilinear(at);
      weights[static_cast<std::size_t>(tap)] = weight;
      sum += weight;
    }
    std::fill(fixed.begin(), fixed.end(), 0);
    for (int tap = 0; tap < count[i]; ++tap) {
      double weight = weights[static_cast<std::size_t>(tap)];
      if (sum != 0.0) weight /= sum;
      const double half = weight < 0 ? -0.5 : 0.5;
      fixed[static_cast<std::size_t>(tap)] =
          static_cast<std::int32_t>(half + weight * (1 << kernels::kPrecisionBits));
    }
    for (std::size_t slot = 0; slot < slots; slot += 4) {
      kernels::pack_chunk(&fixed[slot], &taps.table.words[i * slots + slot]);
    }
  }
  taps.table.first.assign(first.begin(), first.end());
  for (const int taken : count) taps.table.used.push_back((taken + 3) / 4);
  taps.rows_begin = first[0];
  taps.rows_end =
      first[static_cast<std::size_t>(axis.out) - 1] + count[static_cast<std::size_t>(axis.out) - 1];
  return taps;
}

// A part of the source, in source pixels.
struct Box {
  double left, top, right, bottom;
};

// The part that ImageOps.fit keeps: the largest of the target's shape, from the middle.
Box crop_box(ImageView source, int width, int height) {
  const double have = static_cast<double>(source.width) / source.height;
  const double want = static_cast<double>(width) / height;
  double keep_width = source.width;
  double keep_height = source.height;
  if (have != want) {
    if (have >= want) {
      keep_width = want * source.height;
    } else {
      keep_height = source.width / want;
    }
  }
  const double left = (source.width - keep_width) * 0.5;
  const double top = (source.height - keep_height) * 0.5;
  return {left, top, left + keep_width, top + keep_height};
}

struct Size {
  int width, height;
};

// The size that ImageOps.contain gives; halves round to even, as Python's round does.
Size contained(ImageView source, int width, int height) {
  const double have = static_cast<double>(source.width) / source.height;
  const double want = static_cast<double>(width) / height;
  if (have > want)
    return {width,
            static_cast<int>(std::nearbyint(static_cast<double>(source.height) / source.width * width))};
  if (have < want)
    return {static_cast<int>(std::nearbyint(static_cast<double>(source.width) / source.height * height)),
            height};
  return {width, height};
}

// Pillow 13 begins with the vertical pass where the height shrinks by more than twice what the width does.
bool vertical_first(ImageView source, int width, int height) {
  return source.height - height > 2 * std::max(0, source.width - width);
}

void copy_rows(const std::uint8_t* in, std::size_t in_stride, std::size_t row_bytes, int rows,
               std::uint8_t* out) {
  for (std::size_t y = 0; y < static_cast<std::size_t>(rows); ++y) {
    std::memcpy(out + y * row_bytes, in + y * in_stride, row_bytes);
  }
}

// Source positions of nearest-neighbour samples: centres, summed up step by step as Pillow does; -1 =
// outside.
void nearest_positions(const Axis& axis, std::vector<int>& positions) {
  const double step = static_cast<double>(axis.end - axis.begin) / axis.out;
  double at = static_cast<double>(axis.begin) + step * 0.5;
  positions.resize(static_cast<std::size_t>(axis.out));
  for (int& position : positions) {
    position = at < 0.0 || at >= axis.in ? -1 : static_cast<int>(at);
    at += step;
  }
}

}  // namespace

std::string_view to_string(Kernel kernel) {
  return kKernelNames[static_cast<std::size_t>(kernel)];
}
std::string_view to_string(Fit fit) {
  return kFitNames[static_cast<std::size_t>(fit)];
}
Kernel parse_kernel(std::string_view name) {
  return parse_name<Kernel>(name, kKernelNames, "resize kernel");
}
Fit parse_fit(std::string_view name) {
  return parse_name<Fit>(name, kFitNames, "fit");
}

struct Resizer::Impl {
  // Photos of many shapes pass one after the other; the tables used last are kept.
  static constexpr std::size_t kTables = 32;
  std::vector<std::unique_ptr<Taps>> tables;
  std::uint64_t clock = 0;
  std::vector<std::uint8_t> narrow;    // rows that had to be copied to have room behind them
  std::vector<std::uint8_t> between;   // after the horizontal pass
  std::vector<std::uint8_t> squeezed;  // after the vertical pass, where that goes first
  std::vector<std::uint8_t> result;    // a whole picture where the caller's memory cannot take it directly
  std::vector<std::uint8_t> padded;
  std::vector<int> columns;
  std::vector<int> rows;

  const Taps& taps(const Axis& axis) {
    ++clock;
    for (auto& known : tables) {
      if (known->axis == axis) {
        known->used = clock;
        return *known;
      }
    }
    auto made = std::make_unique<Taps>(make_taps(axis));
    made->used = clock;
    if (tables.size() < kTables) {
      tables.push_back(std::move(made));
      return *tables.back();
    }
    auto oldest = std::min_element(tables.begin(), tables.end(),
                                   [](const auto& a, const auto& b) { return a->used < b->used; });
    *oldest = std::move(made);
    return **oldest;
  }

  void nearest(ImageView source, const Axis& across, const Axis& down, std::uint8_t* out) {
    nearest_positions(across, columns);
    nearest_positions(down, rows);
    const std::size_t in_stride = static_cast<std::size_t>(source.width) * 3;
    for (const int row : rows) {
      for (const int column : columns) {
        if (row < 0 || column < 0) {
          std::memset(out, 0, 3);
        } else {
          std::memcpy(out,
                      source.pixels + static_cast<std::size_t>(row) * in_stride +
                          static_cast<std::size_t>(column) * 3,
                      3);
        }
        out += 3;
      }
    }
  }

  // Source rows [begin, begin + count) through the horizontal pass to `between`.
  void horizontal(ImageView source, const kernels::TapTable& table, int begin, int count,
                  std::size_t out_stride) {
    const std::size_t stride = static_cast<std::size_t>(source.width) * 3;
    const std::uint8_t* in = source.pixels + static_cast<std::size_t>(begin) * stride;
    const int rounded = (count + kernels::kRowGroup - 1) / kernels::kRowGroup * kernels::kRowGroup;
    between.resize(static_cast<std::size_t>(rounded) * out_stride + kernels::kPadding);
    // Rows near the end of the picture have too little behind them: they are copied first.
    const auto behind = static_cast<std::size_t>(source.height - begin - count) * stride;
    const std::size_t short_rows =
        behind >= kernels::kPadding ? 0 : (kernels::kPadding - behind + stride - 1) / stride;
    const int direct =
        std::max(0, count - static_cast<int>(short_rows)) / kernels::kRowGroup * kernels::kRowGroup;
    if (direct > 0) kernels::resize_rows(in, stride, direct, table, between.data(), out_stride);
    if (direct == count) return;
    const auto copied = static_cast<std::size_t>(rounded - direct);
    narrow.assign(copied * stride + kernels::kPadding, 0);
    std::memcpy(narrow.data(), in + static_cast<std::size_t>(direct) * stride,
                static_cast<std::size_t>(count - direct) * stride);
    kernels::resize_rows(narrow.data(), stride, rounded - direct, table,
                         between.data() + static_cast<std::size_t>(direct) * out_stride, out_stride);
  }

  // `in` holds the rows [begin, end); those of fewer than kPadding bytes are given room before and after.
  void vertical(const std::uint8_t* in, std::size_t in_stride, int begin, int end, std::size_t row_bytes,
                const kernels::TapTable& table, std::uint8_t* out) {
    if (row_bytes >= kernels::kPadding) {
      kernels::resize_columns(in, in_stride, begin, end, row_bytes, table, out, row_bytes);
      return;
    }
    const auto count = static_cast<std::size_t>(end - begin);
    narrow.assign(count * kernels::kPadding, 0);
    for (std::size_t y = 0; y < count; ++y)
      std::memcpy(&narrow[y * kernels::kPadding], in + y * in_stride, row_bytes);
    const auto outputs = static_cast<std::size_t>(table.outputs);
    result.resize(outputs * kernels::kPadding);
    kernels::resize_columns(narrow.data(), kernels::kPadding, begin, end, row_bytes, table, result.data(),
                            kernels::kPadding);
    for (std::size_t y = 0; y < outputs; ++y)
      std::memcpy(out + y * row_bytes, &result[y * kernels::kPadding], row_bytes);
  }

  // Pillow's Image.resize(size, kernel, box).
  void resize_box(ImageView source, const Box& box, int width, int height, Kernel kernel, std::uint8_t* out) {
    const Axis across{source.width, static_cast<float>(box.left), static_cast<float>(box.right), width,
                      kernel};
    const Axis down{source.height, static_cast<float>(box.top), static_cast<float>(box.bottom), height,
                    kernel};
    const std::size_t row_bytes = static_cast<std::size_t>(width) * 3;
    if (across.identity() && down.identity()) {
      std::memcpy(out, source.pixels, row_bytes * static_cast<std::size_t>(height));
      return;
    }
    if (kernel == Kernel::kNearest) {
      nearest(source, across, down, out);
      return;
    }
    if (across.identity()) {
      const Taps& table = taps(down);
      vertical(source.pixels, row_bytes, 0, source.height, row_bytes, table.table, out);
      return;
    }
    // The horizontal pass writes 16 bytes at a time, more than it was asked for.
    const std::size_t stride = row_bytes + kernels::kPadding;
    if (down.identity()) {
      horizontal(source, taps(across).table, 0, source.height, stride);
      copy_rows(between.data(), stride, row_bytes, height, out);
      return;
    }
    const Taps& down_taps = taps(down);
    const Taps& across_taps = taps(across);
    if (vertical_first(source, width, height)) {
      const std::size_t source_bytes = static_cast<std::size_t>(source.width) * 3;
      squeezed.resize(source_bytes * static_cast<std::size_t>(height));
      vertical(source.pixels, source_bytes, 0, source.height, source_bytes, down_taps.table, squeezed.data());
      horizontal({source.width, height, squeezed.data()}, across_taps.table, 0, height, stride);
      copy_rows(between.data(), stride, row_bytes, height, out);
      return;
    }
    const int begin = down_taps.rows_begin;
    const int count = down_taps.rows_end - begin;
    horizontal(source, across_taps.table, begin, count, stride);
    vertical(between.data(), stride, begin, begin + count, row_bytes, down_taps.table, out);
  }

  void pad(ImageView source, int width, int height, Kernel kernel, std::uint8_t* out) {
    const Size size = contained(source, width, height);
    const Box whole{0, 0, static_cast<double>(source.width), static_cast<double>(source.height)};
    if (size.width == width && size.height == height) {
      resize_box(source, whole, width, height, kernel, out);
      return;
    }
    const std::size_t row_bytes = static_cast<std::size_t>(width) * 3;
    std::memset(out, 0, row_bytes * static_cast<std::size_t>(height));
    if (size.width == 0 || size.height == 0) return;
    const std::size_t part_bytes = static_cast<std::size_t>(size.width) * 3;
    if (size.width == width) {  // bands above and below
      const auto top = static_cast<std::size_t>(std::nearbyint((height - size.height) * 0.5));
      resize_box(source, whole, size.width, size.height, kernel, out + top * row_bytes);
      return;
    }
    const auto left = static_cast<std::size_t>(std::nearbyint((width - size.width) * 0.5));
    padded.resize(part_bytes * static_cast<std::size_t>(size.height));
    resize_box(source, whole, size.width, size.height, kernel, padded.data());
    for (std::size_t y = 0; y < static_cast<std::size_t>(size.height); ++y) {
      std::memcpy(out + y * row_bytes + left * 3, &padded[y * part_bytes], part_bytes);
    }
  }
};

Resizer::Resizer() : impl_(std::make_unique<Impl>()) {}
Resizer::~Resizer() = default;
Resizer::Resizer(Resizer&&) noexcept = default;
Resizer& Resizer::operator=(Resizer&&) noexcept = default;

void Resizer::resize(ImageView source, int width, int height, Kernel kernel, Fit fit,
                     std::span<std::uint8_t> out) {
  if (width < 1 || height < 1 || source.width < 1 || source.height < 1 ||
      out.size() < static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3) {
    throw Error(ErrorCode::kInternal, fmt::format("resize of {} x {} to {} x {} pixels into {} bytes",
                                                  source.width, source.height, width, height, out.size()));
  }
  if (fit == Fit::kPad) {
    impl_->pad(source, width, height, kernel, out.data());
    return;
  }
  const Box box = fit == Fit::kCrop
                      ? crop_box(source, width, height)
                      : Box{0, 0, static_cast<double>(source.width), static_cast<double>(source.height)};
  impl_->resize_box(source, box, width, height, kernel, out.data());
}

}  // namespace pomona
