// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/encode.h"

#include <fmt/format.h>

#include <array>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

// After <cstdio>, which it needs and does not include.
#include <jpeglib.h>

#include "pomona/base/error.h"

namespace pomona {
namespace {

struct Session {
  jpeg_compress_struct cinfo{};
  jpeg_error_mgr errors{};
  std::jmp_buf exit{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  unsigned char* buffer = nullptr;  // libjpeg's, by malloc
  unsigned long size = 0;

  Session() {
    cinfo.err = jpeg_std_error(&errors);
    cinfo.client_data = this;
    errors.error_exit = [](j_common_ptr common) {
      auto& self = *static_cast<Session*>(common->client_data);
      (*common->err->format_message)(common, self.message.data());
      std::longjmp(self.exit, 1);
    };
    errors.output_message = [](j_common_ptr) {};
  }
  ~Session() {
    jpeg_destroy_compress(&cinfo);
    std::free(buffer);  // NOLINT(cppcoreguidelines-no-malloc): libjpeg took it so
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bool run(const ImageView& image, int quality) {
    if (setjmp(exit) != 0) return false;
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &buffer, &size);
    cinfo.image_width = static_cast<JDIMENSION>(image.width);
    cinfo.image_height = static_cast<JDIMENSION>(image.height);
    cinfo.input_components = 3;
    cinfo.in_color_space = JCS_RGB;
    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, quality, TRUE);
    jpeg_start_compress(&cinfo, TRUE);
    const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
    while (cinfo.next_scanline < cinfo.image_height) {
      // libjpeg's interface is older than const.
      auto* row = const_cast<JSAMPROW>(image.pixels + cinfo.next_scanline * stride);
      jpeg_write_scanlines(&cinfo, &row, 1);
    }
    jpeg_finish_compress(&cinfo);
    return true;
  }
};

}  // namespace

std::vector<std::byte> encode_jpeg(ImageView image, int quality) {
  if (quality < 1 || quality > 100) {
    throw Error(ErrorCode::kUsage, fmt::format("JPEG quality {} is not between 1 and 100", quality));
  }
  if (image.width < 1 || image.height < 1 || image.width > JPEG_MAX_DIMENSION ||
      image.height > JPEG_MAX_DIMENSION) {
    throw Error(ErrorCode::kUsage, fmt::format("a JPEG cannot have {} x {} pixels: each side takes 1 to {}",
                                               image.width, image.height, JPEG_MAX_DIMENSION));
  }
  Session session;
  if (!session.run(image, quality)) {
    throw Error(ErrorCode::kInternal, fmt::format("writing a JPEG failed: {}", session.message.data()));
  }
  const auto* begin = reinterpret_cast<const std::byte*>(session.buffer);
  return {begin, begin + session.size};
}

}  // namespace pomona
