// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/cut_out.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace pomona {
namespace {

constexpr int kSmallest = 16;            // pixels a side
constexpr double kWhiteBorder = 0.5;     // share of the border that must be white; a large fruit touches it
constexpr double kSmallestFruit = 0.01;  // share of the photo
constexpr double kFrame = 0.97;          // share of its own box: beyond it is a rectangle, not a fruit
constexpr double kSpeck = 0.03;          // of the largest piece: captions, watermarks, crumbs
constexpr double kGap = 0.025;           // of the photo: white within the fruit that is no highlight
constexpr float kNoiseLuma = 26, kNoiseColour = 14;
constexpr float kBleedLuma = 40, kBleedColour = 45;
constexpr int kBleedReach = 4;  // pixels: half a block of the colour planes at 4:2:0
constexpr float kShadowLuma = 100, kShadowColour = 10, kShadowStep = 4;

// How far each pixel is from the background's white, in brightness and in colour.
struct Distances {
  std::vector<float> luma;    // darker is positive
  std::vector<float> colour;  // distance of (R - Y, B - Y)
};

float luma_of(const std::uint8_t* p) {
  return 0.299F * static_cast<float>(p[0]) + 0.587F * static_cast<float>(p[1]) +
         0.114F * static_cast<float>(p[2]);
}

bool near_white(const std::uint8_t* p) {
  const auto [low, high] = std::minmax({p[0], p[1], p[2]});
  return low >= 190 && high - low <= 28;
}

template <typename Visit>
void each_border_pixel(int width, int height, const Visit& visit) {
  for (int x = 0; x < width; ++x) {
    visit(x, 0);
    visit(x, height - 1);
  }
  for (int y = 1; y + 1 < height; ++y) {
    visit(0, y);
    visit(width - 1, y);
  }
}

class Cutter {
 public:
  explicit Cutter(ImageView photo)
      : photo_(photo),
        width_(photo.width),
        height_(photo.height),
        count_(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_)) {}

  CutOut run() {
    CutOut result;
    if (width_ < kSmallest || height_ < kSmallest) return left("smaller than 16 pixels");
    if (!measure_white()) return left("no white background");
    flood();
    open_gaps();
    peel();
    keep_large_pieces();
    std::size_t inside = 0;
    int left_edge = width_, right = -1, top = height_, bottom = -1;
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x) {
        if (background_[at(x, y)] != 0) continue;
        ++inside;
        left_edge = std::min(left_edge, x);
        right = std::max(right, x);
        top = std::min(top, y);
        bottom = std::max(bottom, y);
      }
    }
    result.share = static_cast<double>(inside) / static_cast<double>(count_);
    if (result.share < kSmallestFruit) return left("nothing stands out from the white");
    const double box = static_cast<double>(right - left_edge + 1) * static_cast<double>(bottom - top + 1);
    if (static_cast<double>(inside) > kFrame * box) return left("a picture within a white frame");
    feather();
    extend_colours();
    crop(left_edge, top, right, bottom, result);
    return result;
  }

 private:
  static CutOut left(const char* reason) {
    CutOut result;
    result.left_because = reason;
    return result;
  }

  std::size_t at(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x);
  }

  // The background's colour, from the border; false where the border is not white.
  bool measure_white() {
    std::array<double, 3> sum{};
    double white = 0, all = 0;
    each_border_pixel(width_, height_, [&](int x, int y) {
      const std::uint8_t* p = photo_.pixels + 3 * at(x, y);
      all += 1;
      if (!near_white(p)) return;
      white += 1;
      for (std::size_t c = 0; c < 3; ++c) sum[c] += p[c];
    });
    int corners = 0;
    for (const int x : {0, width_ - 1}) {
      for (const int y : {0, height_ - 1}) corners += near_white(photo_.pixels + 3 * at(x, y)) ? 1 : 0;
    }
    if (white < kWhiteBorder * all || corners < 3) return false;
    const std::array<float, 3> mean = {static_cast<float>(sum[0] / white), static_cast<float>(sum[1] / white),
                                       static_cast<float>(sum[2] / white)};
    const float bright = 0.299F * mean[0] + 0.587F * mean[1] + 0.114F * mean[2];
    distances_.luma.resize(count_);
    distances_.colour.resize(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      const std::uint8_t* p = photo_.pixels + 3 * i;
      const float y = luma_of(p);
      distances_.luma[i] = bright - y;
      distances_.colour[i] = std::hypot(static_cast<float>(p[0]) - y - mean[0] + bright,
                                        static_cast<float>(p[2]) - y - mean[2] + bright);
    }
    return true;
  }

  bool is_white(std::size_t i) const {
    return distances_.luma[i] <= kNoiseLuma && distances_.colour[i] <= kNoiseColour;
  }

  bool is_shadow(std::size_t i, std::size_t from) const {
    return distances_.luma[i] <= kShadowLuma && distances_.colour[i] <= kShadowColour &&
           std::abs(distances_.luma[i] - distances_.luma[from]) <= kShadowStep;
  }

  template <typename Visit>
  void each_neighbour(std::size_t i, const Visit& visit) const {
    const auto w = static_cast<std::size_t>(width_);
    const std::size_t x = i % w;
    if (x > 0) visit(i - 1);
    if (x + 1 < w) visit(i + 1);
    if (i >= w) visit(i - w);
    if (i + w < count_) visit(i + w);
  }

  void flood() {
    background_.assign(count_, 0);
    std::vector<std::size_t> open;
    const auto take = [&](std::size_t i) {
      background_[i] = 1;
      open.push_back(i);
    };
    each_border_pixel(width_, height_, [&](int x, int y) {
      const std::size_t i = at(x, y);
      if (background_[i] == 0 && is_white(i)) take(i);
    });
    while (!open.empty()) {
      const std::size_t i = open.back();
      open.pop_back();
      each_neighbour(i, [&](std::size_t n) {
        if (background_[n] == 0 && (is_white(n) || is_shadow(n, i))) take(n);
      });
    }
  }

  // Collects connected pixels for which `member` holds, and passes each piece on.
  template <typename Member, typename Piece>
  void each_piece(const Member& member, const Piece& piece) const {
    std::vector<std::uint8_t> seen(count_, 0);
    std::vector<std::size_t> pixels;
    for (std::size_t start = 0; start < count_; ++start) {
      if (seen[start] != 0 || !member(start)) continue;
      pixels.assign(1, start);
      seen[start] = 1;
      for (std::size_t next = 0; next < pixels.size(); ++next) {
        each_neighbour(pixels[next], [&](std::size_t n) {
          if (seen[n] != 0 || !member(n)) return;
          seen[n] = 1;
          pixels.push_back(n);
        });
      }
      piece(pixels);
    }
  }

  // White that the fill could not reach, as between bananas.
  void open_gaps() {
    const auto smallest = static_cast<std::size_t>(kGap * static_cast<double>(count_));
    std::vector<std::size_t> gaps;
    each_piece([&](std::size_t i) { return background_[i] == 0 && is_white(i); },
               [&](const std::vector<std::size_t>& pixels) {
                 if (pixels.size() > smallest) gaps.insert(gaps.end(), pixels.begin(), pixels.end());
               });
    for (const std::size_t i : gaps) background_[i] = 1;
  }

  // JPEG's coarse colour planes carry the fruit's colour a few pixels out into the white.
  void peel() {
    std::vector<std::size_t> skin;
    for (int step = 0; step < kBleedReach; ++step) {
      skin.clear();
      for (std::size_t i = 0; i < count_; ++i) {
        if (background_[i] != 0 || distances_.luma[i] > kBleedLuma || distances_.colour[i] > kBleedColour)
          continue;
        bool outermost = false;
        each_neighbour(i, [&](std::size_t n) { outermost = outermost || background_[n] != 0; });
        if (outermost) skin.push_back(i);
      }
      for (const std::size_t i : skin) background_[i] = 1;
    }
  }

  void keep_large_pieces() {
    const auto member = [&](std::size_t i) { return background_[i] == 0; };
    std::size_t largest = 0;
    each_piece(member,
               [&](const std::vector<std::size_t>& pixels) { largest = std::max(largest, pixels.size()); });
    const auto smallest = static_cast<std::size_t>(kSpeck * static_cast<double>(largest));
    std::vector<std::size_t> specks;
    each_piece(member, [&](const std::vector<std::size_t>& pixels) {
      if (pixels.size() < smallest) specks.insert(specks.end(), pixels.begin(), pixels.end());
    });
    for (const std::size_t i : specks) background_[i] = 1;
  }

  // One step inwards, as the outermost pixels are a mixture with white, then softened.
  void feather() {
    radius_ = std::max(1, static_cast<int>(std::lround(std::min(width_, height_) / 200.0)));
    std::vector<std::uint8_t> core(count_);
    for (std::size_t i = 0; i < count_; ++i) core[i] = background_[i] != 0 ? 0 : 255;
    erode(core, radius_);
    alpha_ = core;
    // Colours are taken from one step further in: JPEG carries the white across the edge.
    erode(core, radius_);
    inside_.resize(count_);
    for (std::size_t i = 0; i < count_; ++i) inside_[i] = core[i] != 0 ? 1 : 0;
    box_blur(alpha_, width_, height_, 1);
    box_blur(alpha_, height_, width_, width_);
  }

  // An edge of the photo is no edge of the fruit: only background within it takes away.
  void erode(std::vector<std::uint8_t>& core, int steps) const {
    for (int step = 0; step < steps; ++step) {
      const std::vector<std::uint8_t> before = core;
      for (std::size_t i = 0; i < count_; ++i) {
        if (before[i] == 0) continue;
        each_neighbour(i, [&](std::size_t n) {
          if (before[n] == 0) core[i] = 0;
        });
      }
    }
  }

  // Mean over 2 radius + 1 pixels along lines of `length` pixels that stand `step` apart (1: rows, width:
  // columns).
  void box_blur(std::vector<std::uint8_t>& values, int length, int lines, int step) const {
    std::vector<std::uint8_t> line(static_cast<std::size_t>(length));
    const auto stride = static_cast<std::size_t>(step);
    for (int l = 0; l < lines; ++l) {
      const std::size_t start = step == 1 ? static_cast<std::size_t>(l) * static_cast<std::size_t>(length)
                                          : static_cast<std::size_t>(l);
      for (int i = 0; i < length; ++i)
        line[static_cast<std::size_t>(i)] = values[start + static_cast<std::size_t>(i) * stride];
      const auto value = [&](int i) {
        return static_cast<int>(line[static_cast<std::size_t>(std::clamp(i, 0, length - 1))]);
      };
      int sum = 0;
      for (int i = -radius_; i <= radius_; ++i) sum += value(i);
      for (int i = 0; i < length; ++i) {
        values[start + static_cast<std::size_t>(i) * stride] =
            static_cast<std::uint8_t>(sum / (2 * radius_ + 1));
        sum += value(i + radius_ + 1) - value(i - radius_);
      }
    }
  }

  // Gives pixels just outside the fruit the mean colour of their neighbours inside, ring by ring.
  void extend_colours() {
    pixels_.assign(photo_.pixels, photo_.pixels + 3 * count_);
    std::vector<std::size_t> ring;
    for (int step = 0; step < 8 * radius_; ++step) {
      ring.clear();
      for (std::size_t i = 0; i < count_; ++i) {
        if (inside_[i] != 0 || (step > 0 && alpha_[i] == 0)) continue;
        std::array<int, 3> sum{};
        int known = 0;
        each_neighbour(i, [&](std::size_t n) {
          if (inside_[n] == 0) return;
          ++known;
          for (std::size_t c = 0; c < 3; ++c) sum[c] += pixels_[3 * n + c];
        });
        if (known == 0) continue;
        for (std::size_t c = 0; c < 3; ++c) pixels_[3 * i + c] = static_cast<std::uint8_t>(sum[c] / known);
        ring.push_back(i);
      }
      if (ring.empty()) return;
      for (const std::size_t i : ring) inside_[i] = 1;
    }
  }

  void crop(int left_edge, int top, int right, int bottom, CutOut& result) const {
    result.picture.reset(right - left_edge + 1, bottom - top + 1);
    result.alpha.clear();
    auto out = result.picture.pixels.begin();
    for (int y = top; y <= bottom; ++y) {
      const auto first = static_cast<std::ptrdiff_t>(at(left_edge, y));
      const auto last = static_cast<std::ptrdiff_t>(at(right, y)) + 1;
      out = std::copy(pixels_.begin() + 3 * first, pixels_.begin() + 3 * last, out);
      result.alpha.insert(result.alpha.end(), alpha_.begin() + first, alpha_.begin() + last);
    }
  }

  ImageView photo_;
  int width_;
  int height_;
  std::size_t count_;
  int radius_ = 1;
  Distances distances_;
  std::vector<std::uint8_t> background_;  // 1 = background
  std::vector<std::uint8_t> inside_;      // 1 = the colour here is the fruit's
  std::vector<std::uint8_t> alpha_;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace

CutOut cut_out(ImageView photo) {
  return Cutter(photo).run();
}

}  // namespace pomona
