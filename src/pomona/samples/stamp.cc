// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/stamp.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <span>
#include <string_view>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/image/rgba.h"

namespace pomona {
namespace {

constexpr int kBorder = 3;             // clear pixels around the cut-out: interpolation never reads outside
constexpr int kLeastAlpha = 24;        // of 255: fainter pixels are shadow or dirt, not the object
constexpr double kMostMinified = 1.3;  // source pixels per pixel drawn, above which a smaller level is taken

using Matrix = std::array<double, 4>;  // row-major 2 x 2

// Turn, then foreshorten along the tilt axis.
Matrix pose_matrix(const Stamp::Pose& pose) {
  const double c = std::cos(pose.angle);
  const double s = std::sin(pose.angle);
  const double u = std::cos(pose.tilt_axis);
  const double v = std::sin(pose.tilt_axis);
  const double k = pose.tilt - 1;
  const Matrix squeeze = {1 + k * u * u, k * u * v, k * u * v, 1 + k * v * v};
  return {squeeze[0] * c + squeeze[1] * s, squeeze[1] * c - squeeze[0] * s, squeeze[2] * c + squeeze[3] * s,
          squeeze[3] * c - squeeze[2] * s};
}

std::array<float, 4> catmull_rom(float t) {
  const float t2 = t * t;
  const float t3 = t2 * t;
  return {-0.5F * t + t2 - 0.5F * t3, 1 - 2.5F * t2 + 1.5F * t3, 0.5F * t + 2 * t2 - 1.5F * t3,
          -0.5F * t2 + 0.5F * t3};
}

// A well-mixed 64-bit function of its argument (SplitMix64; Steele, Lea, Flood 2014).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// Files of the package that name the thing before its kind, or run words together.
constexpr std::array<std::array<std::string_view, 2>, 13> kNames = {{
    {"Apricot_whole", "Whole Apricot"},
    {"Cherry_Stella", "Stella Cherry"},
    {"apple_fuji", "Fuji Apple"},
    {"apple_granny_smith", "Granny Smith Apple"},
    {"apple_green", "Green Apple"},
    {"apple_red", "Red Apple"},
    {"apple_sierra_beauty", "Sierra Beauty Apple"},
    {"chilepepper", "Chile Pepper"},
    {"garlics", "Garlic Bulbs"},
    {"orange_seville", "Seville Orange"},
    {"pumpkin_small", "Small Pumpkin"},
    {"redlettuce", "Red Lettuce"},
    {"yellowpepper", "Yellow Pepper"},
}};

}  // namespace

std::string Stamp::class_name(const std::filesystem::path& file) {
  for (const auto& [stem, known] : kNames) {
    if (file.stem() == stem) return std::string(known);
  }
  std::string name;
  char before = ' ';
  for (const char c : file.stem().string()) {
    const char plain = c == '_' || c == '-' ? ' ' : c;
    const bool digit = std::isdigit(static_cast<unsigned char>(plain)) != 0;
    if (digit && before != ' ' && std::isdigit(static_cast<unsigned char>(before)) == 0) name += ' ';
    name += before == ' ' ? static_cast<char>(std::toupper(static_cast<unsigned char>(plain))) : plain;
    before = plain;
  }
  return name;
}

Stamp::Stamp(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  const auto picture = decode_png_rgba(std::as_bytes(std::span(bytes)));
  if (!picture) throw Error(ErrorCode::kFormat, file.string() + " cannot be used: " + picture.error().reason);

  Level level;
  level.width = picture->width + 2 * kBorder;
  level.height = picture->height + 2 * kBorder;
  level.pixels.assign(static_cast<std::size_t>(level.width) * static_cast<std::size_t>(level.height) * 4,
                      0.F);
  for (int y = 0; y < picture->height; ++y) {
    for (int x = 0; x < picture->width; ++x) {
      const auto* from =
          &picture->pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(picture->width) +
                            static_cast<std::size_t>(x)) *
                           4];
      auto* to =
          &level.pixels[(static_cast<std::size_t>(y + kBorder) * static_cast<std::size_t>(level.width) +
                         static_cast<std::size_t>(x + kBorder)) *
                        4];
      const float alpha = static_cast<float>(from[3]) / 255.F;
      for (int c = 0; c < 3; ++c) to[c] = static_cast<float>(from[c]) * alpha;
      to[3] = alpha;
    }
  }
  middle_x_ = level.width / 2.0;
  middle_y_ = level.height / 2.0;
  for (int y = 0; y < picture->height; ++y) {
    int first = picture->width;
    int last = -1;
    for (int x = 0; x < picture->width; ++x) {
      if (picture->pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(picture->width) +
                           static_cast<std::size_t>(x)) *
                              4 +
                          3] < kLeastAlpha) {
        continue;
      }
      first = std::min(first, x);
      last = x;
    }
    if (last < 0) continue;
    for (const int dy : {0, 1}) {
      outline_.push_back({first + kBorder - middle_x_, y + dy + kBorder - middle_y_});
      outline_.push_back({last + 1 + kBorder - middle_x_, y + dy + kBorder - middle_y_});
    }
  }
  if (outline_.empty())
    throw Error(ErrorCode::kFormat, file.string() + " is fully transparent: nothing to show");

  levels_.push_back(std::move(level));
  while (std::min(levels_.back().width, levels_.back().height) > 48) {
    const Level& big = levels_.back();
    Level half;
    half.width = big.width / 2;
    half.height = big.height / 2;
    half.pixels.resize(static_cast<std::size_t>(half.width) * static_cast<std::size_t>(half.height) * 4);
    for (int y = 0; y < half.height; ++y) {
      for (int x = 0; x < half.width; ++x) {
        for (int c = 0; c < 4; ++c) {
          const auto at = [&](int dx, int dy) {
            return big.pixels[(static_cast<std::size_t>(2 * y + dy) * static_cast<std::size_t>(big.width) +
                               static_cast<std::size_t>(2 * x + dx)) *
                                  4 +
                              static_cast<std::size_t>(c)];
          };
          half.pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(half.width) +
                       static_cast<std::size_t>(x)) *
                          4 +
                      static_cast<std::size_t>(c)] = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4;
        }
      }
    }
    levels_.push_back(std::move(half));
  }
}

Stamp::Box Stamp::box(const Pose& pose) const {
  const Matrix m = pose_matrix(pose);
  Box found{1e9, 1e9, -1e9, -1e9};
  for (const auto& [x, y] : outline_) {
    const double px = m[0] * x + m[1] * y;
    const double py = m[2] * x + m[3] * y;
    found.left = std::min(found.left, px);
    found.right = std::max(found.right, px);
    found.top = std::min(found.top, py);
    found.bottom = std::max(found.bottom, py);
  }
  return found;
}

std::array<double, 2> Stamp::extent(const Pose& pose) const {
  const Box b = box(pose);
  return {b.right - b.left, b.bottom - b.top};
}

void Stamp::draw(const Pose& pose, Image& image) const {
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{255});
  const Box b = box(pose);
  const double width = b.right - b.left;
  const double height = b.bottom - b.top;
  const double scale = pose.fill * std::min(image.width / width, image.height / height);
  const double free_x = image.width - scale * width;
  const double free_y = image.height - scale * height;
  const double left = free_x * (1 + pose.shift_x) / 2;
  const double top = free_y * (1 + pose.shift_y) / 2;

  double source_scale = 1 / scale;
  std::size_t index = 0;
  while (source_scale > kMostMinified && index + 1 < levels_.size()) {
    source_scale /= 2;
    ++index;
  }
  const Level& level = levels_[index];
  const double shrink = 1.0 / static_cast<double>(1ULL << index);

  // From a pixel drawn back into the cut-out: inverse of the pose, then of the scale.
  const Matrix m = pose_matrix(pose);
  const double det = m[0] * m[3] - m[1] * m[2];
  const Matrix back = {m[3] / det / scale, -m[1] / det / scale, -m[2] / det / scale, m[0] / det / scale};
  const double zero_x = left - scale * b.left;  // where the middle of the cut-out is drawn
  const double zero_y = top - scale * b.top;
  const double lamp_x = std::cos(pose.lamp) / (scale * width / 2);
  const double lamp_y = std::sin(pose.lamp) / (scale * height / 2);
  const double centre_x = left + scale * width / 2;
  const double centre_y = top + scale * height / 2;

  const int x0 = std::max(0, static_cast<int>(left) - 2);
  const int x1 = std::min(image.width, static_cast<int>(left + scale * width) + 3);
  const int y0 = std::max(0, static_cast<int>(top) - 2);
  const int y1 = std::min(image.height, static_cast<int>(top + scale * height) + 3);
  const auto stride = static_cast<std::size_t>(level.width) * 4;
  for (int y = y0; y < y1; ++y) {
    std::uint64_t random = mix(pose.seed + static_cast<std::uint64_t>(y));
    for (int x = x0; x < x1; ++x) {
      const double dx = x + 0.5 - zero_x;
      const double dy = y + 0.5 - zero_y;
      const double sx = (back[0] * dx + back[1] * dy + middle_x_) * shrink - 0.5;
      const double sy = (back[2] * dx + back[3] * dy + middle_y_) * shrink - 0.5;
      const double fx = std::floor(sx);
      const double fy = std::floor(sy);
      if (fx < 1 || fy < 1 || fx + 2 >= level.width || fy + 2 >= level.height) continue;
      const float* from =
          &level.pixels[static_cast<std::size_t>(fy - 1) * stride + static_cast<std::size_t>(fx - 1) * 4];
      const auto wx = catmull_rom(static_cast<float>(sx - fx));
      const auto wy = catmull_rom(static_cast<float>(sy - fy));
      std::array<float, 4> sum{};
      for (std::size_t j = 0; j < 4; ++j) {
        std::array<float, 4> row{};
        for (std::size_t i = 0; i < 4; ++i) {
          for (std::size_t c = 0; c < 4; ++c) row[c] += wx[i] * from[j * stride + i * 4 + c];
        }
        for (std::size_t c = 0; c < 4; ++c) sum[c] += wy[j] * row[c];
      }
      const float alpha = std::clamp(sum[3], 0.F, 1.F);
      if (alpha < 1.F / 255) continue;
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      const double facing = (x - centre_x) * lamp_x + (y - centre_y) * lamp_y;  // 1 at the lamp, -1 away
      const double light = pose.light * (1 + pose.shade * 0.5 * (facing - 1));
      const double grain = (static_cast<double>(random >> 40) / 16777216.0 - 0.5) * 2 * pose.noise * alpha;
      auto* to = &image.pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                                static_cast<std::size_t>(x)) *
                               3];
      for (std::size_t c = 0; c < 3; ++c) {
        // The object's own colour is at most 255 per unit of alpha; ringing must not go beyond.
        const double own = sum[c] * pose.contrast + 127.5 * (1 - pose.contrast) * alpha;
        const double lit = std::clamp(own * light * pose.tint[c], 0.0, 255.0 * alpha);
        to[c] = static_cast<std::uint8_t>(std::clamp(lit + 255.0 * (1 - alpha) + grain, 0.0, 255.0) + 0.5);
      }
    }
  }
}

}  // namespace pomona
