// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/textures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

#include "pomona/learn/random.h"

namespace pomona {
namespace {

using Colour = std::array<double, 3>;  // 0 to 255

constexpr double kTurn = 2 * std::numbers::pi;

double between(Random& random, double low, double high) {
  return low + (high - low) * random.uniform();
}

Colour mix(const Colour& a, const Colour& b, double t) {
  return {a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t};
}

Colour scaled(const Colour& a, double factor) {
  return {a[0] * factor, a[1] * factor, a[2] * factor};
}

// Hue in turns, saturation and value 0 to 1. In braces, so that random numbers are drawn in this order.
struct Hsv {
  double hue, saturation, value;
};

Colour from_hsv(const Hsv& hsv) {
  const auto channel = [&](double shift) {
    const double k = std::fmod(shift + hsv.hue * 6, 6);
    return 255 * hsv.value * (1 - hsv.saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
  };
  return {channel(5), channel(3), channel(1)};
}

// Colours of rooms and gardens: mostly muted, some strong.
Colour any_colour(Random& random) {
  const double saturation = random.uniform() * random.uniform();
  return from_hsv({random.uniform(), saturation, between(random, 0.15, 1.0)});
}

// Random numbers from -1 to 1 on a lattice that repeats after kLattice points; drawn once.
constexpr std::uint32_t kLattice = 256;

const std::vector<float>& lattice() {
  static const std::vector<float> numbers = [] {
    std::vector<float> values(std::size_t{kLattice} * kLattice);
    Random random(20011);
    for (float& value : values) value = static_cast<float>(2 * random.uniform() - 1);
    return values;
  }();
  return numbers;
}

// Value noise (a lattice of random numbers, joined by smoothstep) in octaves. Seeds differ by their place on
// the lattice.
class Noise {
 public:
  explicit Noise(std::uint64_t seed)
      : numbers_(lattice().data()),
        x_(static_cast<std::uint32_t>(seed)),
        y_(static_cast<std::uint32_t>(seed >> 32)) {}

  // -1 to 1.
  double at(double x, double y) const {
    const double fx = std::floor(x), fy = std::floor(y);
    const double tx = smooth(x - fx), ty = smooth(y - fy);
    const std::uint32_t left = (x_ + static_cast<std::uint32_t>(static_cast<std::int32_t>(fx))) % kLattice;
    const std::uint32_t top = (y_ + static_cast<std::uint32_t>(static_cast<std::int32_t>(fy))) % kLattice;
    const std::uint32_t right = (left + 1) % kLattice;
    const float* a = numbers_ + std::size_t{top} * kLattice;
    const float* b = numbers_ + std::size_t{(top + 1) % kLattice} * kLattice;
    const double upper = a[left] + (a[right] - a[left]) * tx;
    const double lower = b[left] + (b[right] - b[left]) * tx;
    return upper + (lower - upper) * ty;
  }

  // Each octave twice as fine and half as strong: about -1 to 1.
  double octaves(double x, double y, int count) const {
    double sum = 0, weight = 0.5;
    for (int i = 0; i < count; ++i, weight /= 2) {
      sum += weight * at(x + 17.3 * i, y - 9.1 * i);
      x *= 2;
      y *= 2;
    }
    return sum;
  }

 private:
  static double smooth(double t) { return t * t * (3 - 2 * t); }

  const float* numbers_;
  std::uint32_t x_, y_;
};

// Calls colour(u, v) for every pixel; u and v go from 0 to 1, turned by a random angle for textures with a
// grain.
template <typename Paint>
void paint(Image& image, double angle, const Paint& colour) {
  const double c = std::cos(angle), s = std::sin(angle);
  const double step = 1.0 / image.width;
  std::uint8_t* out = image.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const double u = x * step - 0.5, v = y * step - 0.5;
      const Colour value = colour(u * c - v * s + 0.5, u * s + v * c + 0.5);
      for (std::size_t i = 0; i < 3; ++i)
        *out++ = static_cast<std::uint8_t>(std::clamp(value[i], 0.0, 255.0));
    }
  }
}

void plain(Random& random, Image& image) {
  const bool light = random.uniform() < 0.5;
  const Colour base = light ? from_hsv({random.uniform(), between(random, 0, 0.12), between(random, 0.7, 1)})
                            : any_colour(random);
  const Noise noise(random.next());
  const double uneven = between(random, 0.05, 0.3), grain = between(random, 0, 0.06);
  paint(image, 0, [&](double u, double v) {
    return scaled(base, 1 + uneven * noise.at(1.3 * u, 1.3 * v) + grain * noise.octaves(60 * u, 60 * v, 2));
  });
}

void gradient(Random& random, Image& image) {
  const Colour from = any_colour(random), to = any_colour(random);
  const Noise noise(random.next());
  const bool round = random.uniform() < 0.4;
  paint(image, between(random, 0, kTurn), [&](double u, double v) {
    const double t = round ? 1.4 * std::hypot(u - 0.5, v - 0.5) : u;
    return mix(from, to, std::clamp(t + 0.08 * noise.octaves(3 * u, 3 * v, 3), 0.0, 1.0));
  });
}

void wood(Random& random, Image& image) {
  const double hue = between(random, 0.05, 0.11);
  const Colour dark = from_hsv({hue, between(random, 0.3, 0.7), between(random, 0.15, 0.5)});
  const Colour light = from_hsv({hue + 0.01, between(random, 0.15, 0.55), between(random, 0.5, 0.95)});
  const double boards = between(random, 1, 8), rings = between(random, 4, 14),
               gap = between(random, 0.004, 0.02);
  const double seam = between(random, 0.15, 0.7);
  const std::uint64_t seed = random.next();
  const Noise noise(seed);
  paint(image,
        random.uniform() < 0.6 ? between(random, -0.1, 0.1) + (random.uniform() < 0.5 ? kTurn / 4 : 0)
                               : between(random, 0, kTurn),
        [&](double u, double v) {
          const double place = v * boards + 40;
          const double board = std::floor(place);
          const double shift = 13.7 * board;
          // Long along the board, short across: the grain; the rings follow it.
          const double bend = noise.octaves(1.2 * u + shift, 5 * v, 3);
          const double ring = 0.5 + 0.5 * std::sin(kTurn * (rings * (v + 0.12 * bend) + 3 * bend));
          const double fibre = noise.octaves(8 * u + shift, 160 * v, 3);
          Colour value = mix(
              dark, light,
              std::clamp(0.25 + 0.45 * ring + 0.35 * fibre + 0.25 * noise.at(board * 3.7, 0.5), 0.0, 1.0));
          if (place - board < gap * boards) value = scaled(value, 1 - seam);
          return value;
        });
}

void cloth(Random& random, Image& image) {
  const Colour base = any_colour(random), second = any_colour(random);
  const double threads = between(random, 30, 110), weave = between(random, 0.03, 0.14);
  const double checks = between(random, 2, 9), share = between(random, 0.15, 0.5);
  const double kind = random.uniform();
  const double folds = between(random, 0, 0.35);
  const Noise noise(random.next());
  paint(image, between(random, 0, kTurn), [&](double u, double v) {
    const double bend = 0.03 * noise.octaves(2.5 * u, 2.5 * v, 2);
    const double a = u + bend, b = v - bend;
    const auto stripe = [&](double t) { return t * checks - std::floor(t * checks) < share ? 1.0 : 0.0; };
    const double pattern = kind < 0.4 ? 0 : kind < 0.6 ? stripe(a) : 0.5 * (stripe(a) + stripe(b));
    const double yarn = weave * std::sin(kTurn * threads * a) * std::sin(kTurn * threads * b);
    return scaled(mix(base, second, pattern), 1 + yarn + folds * noise.octaves(2 * u + 5, 1.2 * v, 3) +
                                                  0.1 * noise.octaves(90 * u, 90 * v, 2));
  });
}

void marble(Random& random, Image& image) {
  const bool light = random.uniform() < 0.65;
  const Colour base = from_hsv({random.uniform(), between(random, 0, 0.15),
                                light ? between(random, 0.65, 0.95) : between(random, 0.12, 0.5)});
  const Colour vein = from_hsv({random.uniform(), between(random, 0, 0.3),
                                light ? between(random, 0.3, 0.6) : between(random, 0.4, 0.9)});
  const double scale = between(random, 1.5, 5), sharp = between(random, 2, 9),
               speckle = between(random, 0, 0.25);
  const Noise noise(random.next());
  paint(image, between(random, 0, kTurn), [&](double u, double v) {
    const double bend = noise.octaves(scale * u, scale * v, 5);
    const double ridge = 1 - std::abs(noise.octaves(scale * u + 2 * bend + 7, 0.6 * scale * v + bend, 4));
    const double t = std::pow(std::clamp(ridge, 0.0, 1.0), sharp * 3);
    return scaled(mix(base, vein, 0.8 * t), 1 + 0.2 * bend + speckle * noise.octaves(70 * u, 70 * v, 2));
  });
}

void clouds(Random& random, Image& image) {
  const Colour base = any_colour(random);
  const double scale = between(random, 1, 6), light = between(random, 0.4, 1.4),
               tint = between(random, 0, 90);
  const Noise bright(random.next()), red(random.next()), blue(random.next());
  paint(image, 0, [&](double u, double v) {
    const double x = scale * u, y = scale * v;
    Colour value = scaled(base, 1 + light * bright.octaves(x, y, 7));
    value[0] += tint * red.octaves(x, y, 5);
    value[2] += tint * blue.octaves(x, y, 5);
    return value;
  });
}

// Leaves and clutter are made of shapes laid over one another.
struct Shape {
  double x, y, length, width, angle;  // shares of the picture
  Colour colour;
  bool leaf = false;  // pointed with a midrib; else a box with round corners (roundness 1: an ellipse)
  double roundness = 0;
};

void draw(const Shape& shape, double light, Image& image) {
  const double size = image.width;
  const double reach = std::max(shape.length, shape.width);
  const int left = std::max(0, static_cast<int>((shape.x - reach) * size));
  const int right = std::min(image.width - 1, static_cast<int>((shape.x + reach) * size) + 1);
  const int top = std::max(0, static_cast<int>((shape.y - reach) * size));
  const int bottom = std::min(image.height - 1, static_cast<int>((shape.y + reach) * size) + 1);
  const double c = std::cos(shape.angle), s = std::sin(shape.angle);
  const double power = 2 + 6 * (1 - shape.roundness);
  for (int y = top; y <= bottom; ++y) {
    for (int x = left; x <= right; ++x) {
      const double dx = x / size - shape.x, dy = y / size - shape.y;
      const double a = (dx * c + dy * s) / shape.length, b = (dy * c - dx * s) / shape.width;
      if (std::abs(a) >= 1 || std::abs(b) >= 1) continue;
      double shade = 1 + light * (0.5 * a - 0.5 * b);
      if (shape.leaf) {
        const double edge = (1 - a * a) * (0.75 + 0.25 * a);
        if (std::abs(b) > edge) continue;
        const double vein = std::abs(b) < 0.05 ? 0.3 : 0.08 * std::sin(22 * (a + std::abs(b)));
        shade += vein + (b > 0 ? 0.1 : -0.06);
      } else if (std::pow(std::abs(a), power) + std::pow(std::abs(b), power) > 1) {
        continue;
      }
      std::uint8_t* out =
          image.pixels.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                                     static_cast<std::size_t>(x));
      for (std::size_t i = 0; i < 3; ++i)
        out[i] = static_cast<std::uint8_t>(std::clamp(shape.colour[i] * shade, 0.0, 255.0));
    }
  }
}

void leaves(Random& random, Image& image) {
  const double hue = between(random, 0.18, 0.38), depth = between(random, 0.3, 0.8);
  const double longest = between(random, 0.08, 0.35), slender = between(random, 0.12, 0.6);
  const Colour ground = from_hsv({between(random, 0.08, 0.3), 0.5, 0.15});
  paint(image, 0, [&](double, double) { return ground; });
  const int count = std::min(420, static_cast<int>(7 / (longest * longest)));
  for (int i = 0; i < count; ++i) {
    const double near = static_cast<double>(i) / count;  // the last lies on top, in the light
    Shape shape;
    shape.x = between(random, -0.1, 1.1);
    shape.y = between(random, -0.1, 1.1);
    shape.length = longest * between(random, 0.4, 1);
    shape.width = shape.length * slender * between(random, 0.7, 1.2);
    shape.angle = between(random, 0, kTurn);
    shape.colour =
        from_hsv({hue + between(random, -0.05, 0.05), between(random, 0.35, 0.85),
                  std::clamp((1 - depth) * 0.8 + depth * near + between(random, -0.12, 0.12), 0.05, 0.95)});
    shape.leaf = true;
    draw(shape, 0.3, image);
  }
}

void clutter(Random& random, Image& image) {
  const Colour ground = any_colour(random);
  paint(image, 0, [&](double, double) { return ground; });
  const double round = random.uniform(), strong = between(random, 0.2, 0.9), share = random.uniform();
  const double hue = random.uniform();
  const int count = static_cast<int>(between(random, 30, 260));
  for (int i = 0; i < count; ++i) {
    Shape shape;
    shape.x = random.uniform();
    shape.y = random.uniform();
    // Sizes with a density of r^-3: no scale is preferred.
    shape.length = 0.02 / std::sqrt(between(random, 0.0016, 1));
    shape.width = shape.length * between(random, 0.3, 1);
    shape.angle = between(random, 0, kTurn);
    shape.roundness = random.uniform() < round ? 1 : 0;
    // Some scenes keep to a few hues, others do not.
    const double own = random.uniform() < share ? random.uniform() : hue + 0.08 * random.uniform();
    shape.colour = from_hsv({own, strong * random.uniform(), between(random, 0.08, 1)});
    draw(shape, between(random, 0, 0.5), image);
  }
  blur(image, random.uniform() < 0.5 ? between(random, 0, 1) : image.width * between(random, 0.005, 0.03));
}

// Sums of bytes turned into means without a division: sum * factor >> 24, rounded.
struct Mean {
  explicit Mean(int count) : factor((1U << 24) / static_cast<unsigned>(count) + 1) {}
  std::uint8_t operator()(unsigned sum) const {
    return static_cast<std::uint8_t>(
        std::min<std::uint64_t>(255, (std::uint64_t{sum} * factor + (1U << 23)) >> 24));
  }
  unsigned factor;
};

// Mean over 2 radius + 1 pixels of a row; edge pixels count on beyond the edge.
void box_rows(Image& image, int radius) {
  const Mean mean(2 * radius + 1);
  const int last = image.width - 1;
  std::vector<std::uint8_t> line(3 * static_cast<std::size_t>(image.width));
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* row = image.pixels.data() + 3 * static_cast<std::ptrdiff_t>(y) * image.width;
    std::copy_n(row, line.size(), line.begin());
    std::array<unsigned, 3> sum{};
    const auto pixel = [&](int x) {
      return line.data() + 3 * static_cast<std::ptrdiff_t>(std::clamp(x, 0, last));
    };
    for (int x = -radius; x <= radius; ++x) {
      for (std::size_t c = 0; c < 3; ++c) sum[c] += pixel(x)[c];
    }
    for (int x = 0; x <= last; ++x) {
      const std::uint8_t* in = pixel(x + radius + 1);
      const std::uint8_t* out = pixel(x - radius);
      for (std::size_t c = 0; c < 3; ++c) {
        *row++ = mean(sum[c]);
        sum[c] += in[c] - static_cast<unsigned>(out[c]);
      }
    }
  }
}

// The same down the columns, all columns at a time.
void box_columns(Image& image, int radius) {
  const Mean mean(2 * radius + 1);
  const int last = image.height - 1;
  const Image before = image;
  const auto bytes = 3 * static_cast<std::size_t>(image.width);
  const auto row = [&](int y) {
    return before.pixels.data() + static_cast<std::size_t>(std::clamp(y, 0, last)) * bytes;
  };
  std::vector<unsigned> sum(bytes);
  for (int y = -radius; y <= radius; ++y) {
    for (std::size_t i = 0; i < bytes; ++i) sum[i] += row(y)[i];
  }
  for (int y = 0; y <= last; ++y) {
    std::uint8_t* to = image.pixels.data() + static_cast<std::size_t>(y) * bytes;
    const std::uint8_t* in = row(y + radius + 1);
    const std::uint8_t* out = row(y - radius);
    for (std::size_t i = 0; i < bytes; ++i) {
      to[i] = mean(sum[i]);
      sum[i] += in[i] - static_cast<unsigned>(out[i]);
    }
  }
}

// A radius below 1: the 1-2-1 filter mixed in, as far as sigma asks for.
void soften(Image& image, double sigma) {
  const double side = std::min(0.2, sigma * sigma / 2);
  const Image before = image;
  const auto w = static_cast<std::ptrdiff_t>(image.width);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::ptrdiff_t i = 3 * (y * w + x);
      const std::ptrdiff_t l = x > 0 ? 3 : 0, r = x + 1 < image.width ? 3 : 0;
      const std::ptrdiff_t u = y > 0 ? 3 * w : 0, d = y + 1 < image.height ? 3 * w : 0;
      for (std::ptrdiff_t c = 0; c < 3; ++c) {
        const std::uint8_t* p = before.pixels.data() + i + c;
        const double near = static_cast<double>(p[-l]) + p[r] + p[-u] + p[d];
        image.pixels[static_cast<std::size_t>(i + c)] =
            static_cast<std::uint8_t>(p[0] + side * (near - 4.0 * p[0]) + 0.5);
      }
    }
  }
}

}  // namespace

std::string_view to_string(Texture texture) {
  constexpr std::array<std::string_view, kTextures.size()> kNames = {
      "plain", "gradient", "wood", "cloth", "marble", "leaves", "clutter", "clouds"};
  return kNames[static_cast<std::size_t>(texture)];
}

void blur(Image& image, double sigma) {
  if (sigma < 0.3) return;
  if (sigma < 1) return soften(image, sigma);
  // Two boxes of width w have the variance 2 (w^2 - 1) / 12.
  const int radius = std::max(1, static_cast<int>(std::lround((std::sqrt(6 * sigma * sigma + 1) - 1) / 2)));
  for (int i = 0; i < 2; ++i) {
    box_rows(image, radius);
    box_columns(image, radius);
  }
}

Image make_texture(Texture texture, std::uint64_t seed, int size) {
  Random random(seed);
  Image image;
  image.reset(size, size);
  switch (texture) {
    case Texture::kPlain:
      plain(random, image);
      break;
    case Texture::kGradient:
      gradient(random, image);
      break;
    case Texture::kWood:
      wood(random, image);
      break;
    case Texture::kCloth:
      cloth(random, image);
      break;
    case Texture::kMarble:
      marble(random, image);
      break;
    case Texture::kLeaves:
      leaves(random, image);
      break;
    case Texture::kClutter:
      clutter(random, image);
      break;
    case Texture::kClouds:
      clouds(random, image);
      break;
  }
  return image;
}

Image make_background(std::uint64_t seed, int size) {
  Random random(seed);
  const Texture texture = kTextures[random.below(kTextures.size())];
  Image image = make_texture(texture, random.next(), size);
  // Behind a table things are out of focus.
  if (random.uniform() < 0.3) {
    constexpr std::array kTables = {Texture::kWood, Texture::kCloth, Texture::kMarble, Texture::kPlain};
    const Texture kind = kTables[random.below(kTables.size())];
    const Image table = make_texture(kind, random.next(), size);
    blur(image, size * between(random, 0.002, 0.02));
    const double height = between(random, 0.25, 0.65), slope = between(random, -0.12, 0.12);
    for (int x = 0; x < size; ++x) {
      const double edge = size * (height + slope * (static_cast<double>(x) / size - 0.5));
      for (int y = std::max(0, static_cast<int>(edge)); y < size; ++y) {
        const std::size_t i =
            3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(size) + static_cast<std::size_t>(x));
        std::copy_n(table.pixels.begin() + static_cast<std::ptrdiff_t>(i), 3,
                    image.pixels.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  return image;
}

}  // namespace pomona
