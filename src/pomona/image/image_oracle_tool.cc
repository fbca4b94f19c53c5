// SPDX-License-Identifier: Apache-2.0
// Lets the Python tests compare our pixels with Pillow's. Jobs come on stdin, one a line, fields split by
// tabs:
//   decode <0|1: EXIF orientation> <auto|off> <target width> <target height> <file>
//   resize <kernel> <fit> <width> <height> <source width> <source height> <file of raw RGB>
// For each, stdout gets "ok <width> <height> <full width> <full height>\n" and the pixels, or "rejected
// <why>\n".
#include <cstdio>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "pomona/base/paths.h"
#include "pomona/image/decode.h"
#include "pomona/image/resize.h"

namespace {

using namespace pomona;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::stringstream stream(line);
  for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
  return fields;
}

void write(const Image& image, int full_width, int full_height) {
  std::cout << "ok " << image.width << ' ' << image.height << ' ' << full_width << ' ' << full_height << '\n';
  std::cout.write(reinterpret_cast<const char*>(image.pixels.data()),
                  static_cast<std::streamsize>(image.pixels.size()));
}

void decode_job(Decoder& decoder, const std::vector<std::string>& job) {
  DecodeOptions options;
  options.exif_orientation = job.at(1) == "1";
  options.jpeg_scale = job.at(2) == "auto" ? JpegScale::kAuto : JpegScale::kOff;
  options.target_width = std::stoi(job.at(3));
  options.target_height = std::stoi(job.at(4));
  const std::string bytes = read_file(job.at(5));
  Image image;
  const auto info = decoder.decode(std::as_bytes(std::span(bytes)), options, image);
  if (info) {
    write(image, info->width, info->height);
  } else {
    std::cout << "rejected " << info.error().reason << '\n';
  }
}

void resize_job(Resizer& resizer, const std::vector<std::string>& job) {
  const std::string raw = read_file(job.at(7));
  const ImageView source(std::stoi(job.at(5)), std::stoi(job.at(6)),
                         reinterpret_cast<const std::uint8_t*>(raw.data()));
  Image image;
  image.reset(std::stoi(job.at(3)), std::stoi(job.at(4)));
  resizer.resize(source, image.width, image.height, parse_kernel(job.at(1)), parse_fit(job.at(2)),
                 image.pixels);
  write(image, image.width, image.height);
}

}  // namespace

int main() {
  Decoder decoder;
  Resizer resizer;
  for (std::string line; std::getline(std::cin, line);) {
    const auto job = split(line);
    try {
      job.at(0) == "decode" ? decode_job(decoder, job) : resize_job(resizer, job);
    } catch (const std::exception& failure) {
      std::cerr << failure.what() << '\n';
      return 1;
    }
    std::cout.flush();
  }
  return 0;
}
