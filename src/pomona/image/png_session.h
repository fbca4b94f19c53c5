// SPDX-License-Identifier: Apache-2.0
#pragma once

// libpng's state as an object; internal to this folder.

#include <png.h>

#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pomona/base/error.h"
#include "pomona/image/decode.h"

namespace pomona::formats {

struct PngHeader {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  unsigned depth = 0;   // bits per sample
  unsigned colour = 0;  // PNG_COLOR_TYPE_*
  unsigned bits_per_pixel() const;
};

// IHDR, read without libpng, so that a size may be refused before any memory is taken.
Outcome<PngHeader> png_header(std::span<const std::byte> bytes);

// Nothing where a PNG of this header, in a file of `file_bytes`, may be decoded, else why not.
Outcome<void> check_png_size(const PngHeader& header, std::size_t file_bytes, const DecodeOptions& options);

// Reads one PNG from memory. Ancillary chunks are skipped unread, but for tRNS where it is to be kept.
class PngSession {
 public:
  enum class Transparency : std::uint8_t { kDrop, kKeep };
  PngSession(std::span<const std::byte> bytes, Transparency transparency);
  ~PngSession();
  PngSession(const PngSession&) = delete;
  PngSession& operator=(const PngSession&) = delete;

  // Calls `transforms(png)` once the header is read, then reads all rows, `stride` bytes apart, to `rows`.
  // False where libpng gave up. Nothing in `transforms` may need a destructor.
  template <typename Transforms>
  bool read(std::uint8_t* rows, std::size_t stride, const Transforms& transforms) {
    if (png_ == nullptr || info_ == nullptr) return false;
    if (setjmp(exit_) != 0) return false;
    read_header();
    transforms(png_);
    read_rows(rows, stride);
    read_end();
    return true;
  }

  std::unexpected<Rejection> failure() const;

 private:
  void read_header();
  void read_rows(std::uint8_t* rows, std::size_t stride);
  void read_end();
  [[noreturn]] static void on_error(png_structp png, png_const_charp message);
  static void on_read(png_structp png, png_bytep out, png_size_t count);

  std::span<const std::byte> rest_;
  Transparency transparency_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf exit_{};
  std::array<char, 160> message_{};
  std::uint32_t row_ = 0;
  std::uint32_t height_ = 0;
  bool truncated_ = false;
};

}  // namespace pomona::formats
