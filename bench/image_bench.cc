// SPDX-License-Identifier: Apache-2.0
// Decode and resize of every photo of a folder of files, one thread, best of some rounds:
//   image_bench ROUNDS SIDE FILE...  ->  "decode_us resize_us both_us" per photo.
// bench/image_bench.py runs it beside Pillow and prints the BENCH lines.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "pomona/base/paths.h"
#include "pomona/image/decode.h"
#include "pomona/image/resize.h"

namespace {

using namespace pomona;

template <typename Work>
double microseconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const int rounds = std::atoi(argv[1]);
  const int side = std::atoi(argv[2]);
  std::vector<std::string> photos;
  for (const char* name : std::span(argv, static_cast<std::size_t>(argc)).subspan(3))
    photos.push_back(read_file(name));
  Decoder decoder;
  Resizer resizer;
  DecodeOptions options;
  options.target_width = options.target_height = side;
  std::vector<Image> images(photos.size());
  std::vector<std::uint8_t> out(static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3);
  const auto decode = [&](std::size_t i, Image& image) {
    if (!decoder.decode(std::as_bytes(std::span(photos[i])), options, image)) std::exit(1);
  };
  const auto resize = [&](const Image& image) {
    resizer.resize(image, side, side, Kernel::kBicubic, Fit::kSquash, out);
  };
  double decode_us = 1e300;
  double resize_us = 1e300;
  double both_us = 1e300;
  Image image;
  for (int round = 0; round < rounds; ++round) {
    decode_us = std::min(decode_us, microseconds([&] {
                           for (std::size_t i = 0; i < photos.size(); ++i) decode(i, images[i]);
                         }));
    resize_us = std::min(resize_us, microseconds([&] {
                           for (const Image& decoded : images) resize(decoded);
                         }));
    both_us = std::min(both_us, microseconds([&] {
                         for (std::size_t i = 0; i < photos.size(); ++i) {
                           decode(i, image);
                           resize(image);
                         }
                       }));
  }
  const auto count = static_cast<double>(photos.size());
  std::printf("%.2f %.2f %.2f\n", decode_us / count, resize_us / count, both_us / count);
  return 0;
}
