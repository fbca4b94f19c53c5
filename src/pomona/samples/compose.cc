// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "pomona/image/resize.h"
#include "pomona/learn/random.h"
#include "pomona/samples/augment.h"
#include "pomona/samples/textures.h"

namespace pomona {
namespace {

double between(Random& random, double low, double high) {
  return low + (high - low) * random.uniform();
}

// How one fruit lies in the picture; lengths in shares of its side.
struct Pose {
  double length = 1;  // of the fruit's longer side
  double x = 0.5, y = 0.5;
  double angle = 0;  // radians
  bool mirrored = false;
};

std::vector<Pose> draw_poses(Random& random) {
  // Most photos show one; some show several, smaller, side by side or over one another.
  const bool several = random.uniform() < 0.35;
  const std::size_t count = several ? 2 + random.below(4) : 1;
  const double length = several ? between(random, 0.35, 0.65) : between(random, 0.35, 1.0);
  std::vector<Pose> poses(count);
  for (Pose& pose : poses) {
    pose.length = length * between(random, 0.85, 1.15);
    // A little of it may lie outside.
    const double half = pose.length * 0.42;
    const double low = std::min(half, 0.5), high = std::max(1 - half, 0.5);
    pose.x = between(random, low, high);
    pose.y = between(random, low, high);
    pose.mirrored = random.uniform() < 0.5;
    pose.angle = random.uniform() < 0.75 ? between(random, -0.5, 0.5)
                                         : between(random, -std::numbers::pi, std::numbers::pi);
  }
  // What lies lower is nearer.
  std::ranges::sort(poses, [](const Pose& a, const Pose& b) { return a.y < b.y; });
  return poses;
}

// The cut-out at the size it is drawn in.
struct Sprite {
  Image picture;
  Image alpha;  // three equal channels, as the resizer takes it
};

Sprite shrink(const CutOut& fruit, double pixels) {
  const double factor = pixels / std::max(fruit.picture.width, fruit.picture.height);
  const int width = std::max(2, static_cast<int>(std::lround(fruit.picture.width * factor)));
  const int height = std::max(2, static_cast<int>(std::lround(fruit.picture.height * factor)));
  Image alpha;
  alpha.reset(fruit.picture.width, fruit.picture.height);
  for (std::size_t i = 0; i < fruit.alpha.size(); ++i)
    std::fill_n(alpha.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, fruit.alpha[i]);
  Sprite sprite;
  sprite.picture.reset(width, height);
  sprite.alpha.reset(width, height);
  Resizer resizer;
  resizer.resize(fruit.picture, width, height, Kernel::kBicubic, Fit::kSquash, sprite.picture.pixels);
  resizer.resize(alpha, width, height, Kernel::kBilinear, Fit::kSquash, sprite.alpha.pixels);
  return sprite;
}

// Bilinear; colour weighted by alpha, so that nothing of what lay behind the edge shows. Alpha 0 to 1 last.
std::array<double, 4> sample(const Sprite& sprite, double x, double y) {
  const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
  std::array<double, 4> sum{};
  for (int dy = 0; dy < 2; ++dy) {
    for (int dx = 0; dx < 2; ++dx) {
      const int sx = left + dx, sy = top + dy;
      if (sx < 0 || sy < 0 || sx >= sprite.picture.width || sy >= sprite.picture.height) continue;
      const std::size_t i =
          3 * (static_cast<std::size_t>(sy) * static_cast<std::size_t>(sprite.picture.width) +
               static_cast<std::size_t>(sx));
      const double weight = (dx == 0 ? left + 1 - x : x - left) * (dy == 0 ? top + 1 - y : y - top) *
                            sprite.alpha.pixels[i] / 255.0;
      for (std::size_t c = 0; c < 3; ++c) sum[c] += weight * sprite.picture.pixels[i + c];
      sum[3] += weight;
    }
  }
  if (sum[3] > 0) {
    for (std::size_t c = 0; c < 3; ++c) sum[c] /= sum[3];
  }
  return sum;
}

// Where light falls from and how hard it is: one for all fruits of a picture.
struct Lamp {
  double shadow_x, shadow_y;  // shares of a fruit's length
  double strength, softness;
  double exposure;  // of the fruit against its background
};

class Canvas {
 public:
  explicit Canvas(const Image& background) : image_(background), size_(background.width) {}

  void place(const Sprite& sprite, const Pose& pose, const Lamp& lamp) {
    const double length = pose.length * size_;
    shadow(sprite, pose, lamp, length);
    each_covered(sprite, pose, 0, 0, [&](std::uint8_t* out, const std::array<double, 4>& fruit) {
      for (std::size_t c = 0; c < 3; ++c) {
        const double colour = std::min(255.0, fruit[c] * lamp.exposure);
        out[c] = static_cast<std::uint8_t>(out[c] + (colour - out[c]) * fruit[3] + 0.5);
      }
    });
  }

  Image take() && { return std::move(image_); }

 private:
  void shadow(const Sprite& sprite, const Pose& pose, const Lamp& lamp, double length) {
    // White where no shadow falls: it multiplies the background.
    Image shade;
    shade.reset(image_.width, image_.height);
    std::ranges::fill(shade.pixels, std::uint8_t{255});
    std::swap(shade, image_);
    each_covered(sprite, pose, lamp.shadow_x * length, lamp.shadow_y * length,
                 [&](std::uint8_t* out, const std::array<double, 4>& fruit) {
                   out[0] = static_cast<std::uint8_t>(out[0] * (1 - lamp.strength * fruit[3]));
                   out[1] = out[2] = out[0];
                 });
    std::swap(shade, image_);
    blur(shade, lamp.softness * length);
    for (std::size_t i = 0; i < shade.pixels.size(); ++i)
      image_.pixels[i] = static_cast<std::uint8_t>((image_.pixels[i] * shade.pixels[i] + 127) / 255);
  }

  template <typename Put>
  void each_covered(const Sprite& sprite, const Pose& pose, double shift_x, double shift_y, const Put& put) {
    const double middle_x = pose.x * size_ + shift_x, middle_y = pose.y * size_ + shift_y;
    const double w = sprite.picture.width, h = sprite.picture.height;
    const double reach = 0.5 * std::hypot(w, h) + 1;
    const int left = std::max(0, static_cast<int>(middle_x - reach)),
              right = std::min(image_.width, static_cast<int>(middle_x + reach) + 1);
    const int top = std::max(0, static_cast<int>(middle_y - reach)),
              bottom = std::min(image_.height, static_cast<int>(middle_y + reach) + 1);
    const double cosine = std::cos(pose.angle), sine = std::sin(pose.angle);
    for (int y = top; y < bottom; ++y) {
      for (int x = left; x < right; ++x) {
        const double dx = x - middle_x, dy = y - middle_y;
        const double u = (dx * cosine + dy * sine) * (pose.mirrored ? -1 : 1), v = dy * cosine - dx * sine;
        const auto fruit = sample(sprite, u + 0.5 * (w - 1), v + 0.5 * (h - 1));
        if (fruit[3] <= 0) continue;
        put(image_.pixels.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(image_.width) +
                                        static_cast<std::size_t>(x)),
            fruit);
      }
    }
  }

  Image image_;
  double size_;
};

// Light and camera: exposure, contrast, gamma, colour temperature, saturation, softness, noise.
void take_photo(Random& random, Image& image) {
  const double exposure = between(random, 0.75, 1.25), contrast = between(random, 0.8, 1.2);
  const double gamma = std::exp(between(random, -0.25, 0.25)), warmth = between(random, -0.1, 0.1);
  const double saturation = between(random, 0.75, 1.25);
  const double softness = random.uniform() < 0.5 ? 0 : between(random, 0.3, 1.4);
  const double noise = random.uniform() < 0.4 ? 0 : between(random, 0, 7);
  const std::array<double, 3> gain = {exposure * (1 + warmth), exposure, exposure * (1 - warmth)};
  std::array<std::array<double, 256>, 3> curves;
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 256; ++i) {
      const double linear = std::pow(static_cast<double>(i) / 255, gamma) * gain[c];
      curves[c][i] = 255 * std::clamp(0.5 + contrast * (linear - 0.5), 0.0, 1.0);
    }
  }
  blur(image, softness);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    std::array<double, 3> p{};
    for (std::size_t c = 0; c < 3; ++c) p[c] = curves[c][image.pixels[i + c]];
    const double grey = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    const std::uint64_t bits = noise > 0 ? random.next() : 0;
    for (std::size_t c = 0; c < 3; ++c) {
      // The sum of two uniform numbers; its deviation is 1 / sqrt(6).
      const double grain = static_cast<double>((bits >> (20 * c)) & 1023) / 1023 +
                           static_cast<double>((bits >> (20 * c + 10)) & 1023) / 1023 - 1;
      const double value = grey + saturation * (p[c] - grey) + 2.45 * noise * (noise > 0 ? grain : 0);
      image.pixels[i + c] = static_cast<std::uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
    }
  }
}

}  // namespace

Image compose(const CutOut& fruit, const Image& background, std::uint64_t seed) {
  Random random(seed);
  const std::vector<Pose> poses = draw_poses(random);
  const Lamp lamp{between(random, -0.12, 0.12), between(random, -0.02, 0.14), between(random, 0.1, 0.6),
                  between(random, 0.015, 0.08), between(random, 0.8, 1.2)};
  Canvas canvas(background);
  for (const Pose& pose : poses) canvas.place(shrink(fruit, pose.length * background.width), pose, lamp);
  Image photo = std::move(canvas).take();
  take_photo(random, photo);
  return photo;
}

}  // namespace pomona
