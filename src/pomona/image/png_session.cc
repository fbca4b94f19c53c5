// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/png_session.h"

#include <fmt/format.h>

#include <cstring>

#include "pomona/base/text.h"
#include "pomona/image/formats.h"

namespace pomona::formats {
namespace {

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8) | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

}  // namespace

unsigned PngHeader::bits_per_pixel() const {
  const unsigned samples = colour == PNG_COLOR_TYPE_RGB          ? 3
                           : colour == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
                           : colour == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                                 : 1;
  return samples * depth;
}

Outcome<PngHeader> png_header(std::span<const std::byte> bytes) {
  constexpr std::size_t kEnd = 8 + 8 + 13;  // signature, chunk head, IHDR
  if (bytes.size() < kEnd) return refuse("truncated: the data ends within the PNG header");
  if (std::memcmp(bytes.data() + 12, "IHDR", 4) != 0)
    return refuse("damaged: a PNG that does not begin with IHDR");
  PngHeader header;
  header.width = big_endian(bytes, 16);
  header.height = big_endian(bytes, 20);
  header.depth = std::to_integer<unsigned>(bytes[24]);
  header.colour = std::to_integer<unsigned>(bytes[25]);
  return header;
}

Outcome<void> check_png_size(const PngHeader& header, std::size_t file_bytes, const DecodeOptions& options) {
  if (auto fits = check_size(header.width, header.height, options); !fits) return fits;
  // Deflate shrinks at most about 1032 : 1; a header that promises more than the file can hold lies.
  const std::uint64_t row = (static_cast<std::uint64_t>(header.width) * header.bits_per_pixel() + 7) / 8;
  if (row * header.height / 1040 <= file_bytes) return {};
  return refuse(fmt::format("truncated: the header declares {} x {} pixels, which {} cannot hold",
                            header.width, header.height, human_bytes(file_bytes)));
}

PngSession::PngSession(std::span<const std::byte> bytes, Transparency transparency)
    : rest_(bytes), transparency_(transparency) {
  png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
  if (png_ != nullptr) info_ = png_create_info_struct(png_);
}

PngSession::~PngSession() {
  png_destroy_read_struct(&png_, &info_, nullptr);
}

void PngSession::on_error(png_structp png, png_const_charp message) {
  auto& self = *static_cast<PngSession*>(png_get_error_ptr(png));
  std::strncpy(self.message_.data(), message, self.message_.size() - 1);
  std::longjmp(self.exit_, 1);
}

void PngSession::on_read(png_structp png, png_bytep out, png_size_t count) {
  auto& self = *static_cast<PngSession*>(png_get_io_ptr(png));
  if (count > self.rest_.size()) {
    self.truncated_ = true;
    png_error(png, "the data ends early");
  }
  std::memcpy(out, self.rest_.data(), count);
  self.rest_ = self.rest_.subspan(count);
}

void PngSession::read_header() {
  png_set_read_fn(png_, this, on_read);
  png_set_user_limits(png_, 0x7FFFFFFF, 0x7FFFFFFF);
  png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  if (transparency_ == Transparency::kKeep) {
    static constexpr std::array<png_byte, 5> kTrns = {'t', 'R', 'N', 'S', 0};
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_AS_DEFAULT, kTrns.data(), 1);
  }
  png_read_info(png_, info_);
  height_ = png_get_image_height(png_, info_);
}

void PngSession::read_rows(std::uint8_t* rows, std::size_t stride) {
  const int passes = png_set_interlace_handling(png_);
  png_read_update_info(png_, info_);
  if (png_get_rowbytes(png_, info_) > stride) png_error(png_, "rows longer than the header declares");
  for (int pass = 0; pass < passes; ++pass) {
    for (row_ = 0; row_ < height_; ++row_) png_read_row(png_, rows + row_ * stride, nullptr);
  }
}

// Checks the last piece of pixel data against its checksum, unless the file ends right there: then every
// pixel has been seen all the same.
void PngSession::read_end() {
  row_ = height_;
  if (rest_.size() >= 4) png_read_end(png_, nullptr);
}

std::unexpected<Rejection> PngSession::failure() const {
  if (height_ == 0) {
    return refuse(truncated_ ? "truncated: the data ends before the first row"
                             : fmt::format("damaged: {}", message_.data()));
  }
  // libpng's words for pixel data that ends before the last row.
  if (truncated_ || std::strstr(message_.data(), "Not enough image data") != nullptr) {
    return refuse(fmt::format("truncated: the data ends at row {} of {}", row_, height_));
  }
  return refuse(fmt::format("damaged: {} (at row {} of {})", message_.data(), row_, height_));
}

}  // namespace pomona::formats
