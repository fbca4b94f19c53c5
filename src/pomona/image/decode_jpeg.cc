// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <utility>

// After <cstdio>, which it needs and does not include; <jerror.h> in turn needs its configuration.
#include <jpeglib.h>

#include <jerror.h>

#include "pomona/base/text.h"
#include "pomona/image/formats.h"

namespace pomona::formats {
namespace {

// A progressive file may hold any number of scans over the whole picture; more than this is an attack.
constexpr int kMostScans = 200;

// libjpeg's state and the place to return to when it gives up.
struct Session {
  jpeg_decompress_struct cinfo{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  std::jmp_buf exit{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  bool truncated = false;
  bool too_many_scans = false;

  static Session& of(j_common_ptr cinfo) { return *static_cast<Session*>(cinfo->client_data); }
  static Session& of(j_decompress_ptr cinfo) { return *static_cast<Session*>(cinfo->client_data); }

  [[noreturn]] static void on_error(j_common_ptr cinfo) {
    Session& self = of(cinfo);
    (*cinfo->err->format_message)(cinfo, self.message.data());
    std::longjmp(self.exit, 1);
  }

  // Warnings that mean missing or wrong pixels end the decode; libjpeg would fill with grey.
  static void on_message(j_common_ptr cinfo, int level) {
    if (level >= 0) return;
    switch (cinfo->err->msg_code) {
      case JWRN_HIT_MARKER:
      case JWRN_JPEG_EOF:
        of(cinfo).truncated = true;
        on_error(cinfo);
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
        on_error(cinfo);
      default:
        break;  // odd, but harmless: extraneous bytes before a marker, an unknown JFIF revision
    }
  }

  static boolean on_end_of_data(j_decompress_ptr cinfo) {
    of(cinfo).truncated = true;
    std::longjmp(of(cinfo).exit, 1);
  }

  static void on_skip(j_decompress_ptr cinfo, long count) {
    if (count <= 0) return;
    jpeg_source_mgr& source = *cinfo->src;
    if (std::cmp_greater(count, source.bytes_in_buffer)) on_end_of_data(cinfo);
    source.next_input_byte += count;
    source.bytes_in_buffer -= static_cast<std::size_t>(count);
  }

  static void on_progress(j_common_ptr cinfo) {
    Session& self = of(cinfo);
    if (self.cinfo.input_scan_number <= kMostScans) return;
    self.too_many_scans = true;
    std::longjmp(self.exit, 1);
  }

  explicit Session(std::span<const std::byte> bytes) {
    cinfo.err = jpeg_std_error(&errors);
    cinfo.client_data = this;
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    errors.output_message = [](j_common_ptr) {};
    source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source.bytes_in_buffer = bytes.size();
    source.init_source = [](j_decompress_ptr) {};
    source.fill_input_buffer = on_end_of_data;
    source.skip_input_data = on_skip;
    source.resync_to_restart = jpeg_resync_to_restart;
    source.term_source = [](j_decompress_ptr) {};
    progress.progress_monitor = on_progress;
  }
  ~Session() { jpeg_destroy_decompress(&cinfo); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Runs `step`; false where libjpeg jumped out of it. Nothing in `step` may need a destructor.
  template <typename Step>
  bool guard(const Step& step) {
    if (setjmp(exit) != 0) return false;
    step();
    return true;
  }

  std::unexpected<Rejection> failure(bool in_header) {
    if (too_many_scans) return refuse(fmt::format("damaged: more than {} scans", kMostScans));
    if (truncated && in_header) return refuse("truncated: the data ends before the first row");
    if (truncated) {
      return refuse(fmt::format("truncated: the data ends at row {} of {}", cinfo.output_scanline,
                                cinfo.output_height));
    }
    if (in_header) return refuse(fmt::format("damaged: {}", message.data()));
    return refuse(fmt::format("damaged: {} (at row {} of {})", message.data(), cinfo.output_scanline,
                              cinfo.output_height));
  }
};

// The largest of 8, 4, 2, 1 by which the picture may shrink and still be twice the target on both sides.
unsigned scale_denominator(const Session& session, const Request& request) {
  const DecodeOptions& options = *request.options;
  if (options.jpeg_scale == JpegScale::kOff || options.target_width <= 0 || options.target_height <= 0)
    return 1;
  std::uint64_t width = static_cast<std::uint64_t>(options.target_width) * 2;
  std::uint64_t height = static_cast<std::uint64_t>(options.target_height) * 2;
  if (request.orientation >= 5) std::swap(width, height);
  for (unsigned by : {8U, 4U, 2U}) {
    if ((session.cinfo.image_width + by - 1) / by >= width &&
        (session.cinfo.image_height + by - 1) / by >= height) {
      return by;
    }
  }
  return 1;
}

// Inverted CMYK, as Photoshop writes it and Pillow assumes it, to RGB in Pillow's arithmetic (Convert.c).
void cmyk_row_to_rgb(const std::uint8_t* in, int width, std::uint8_t* out) {
  for (int x = 0; x < width; ++x, in += 4, out += 3) {
    const int light = in[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - in[c]) * light + 128;
      out[c] = static_cast<std::uint8_t>(light - ((product + (product >> 8)) >> 8));
    }
  }
}

void read_rows(jpeg_decompress_struct& cinfo, std::uint8_t* pixels) {
  const std::size_t stride = static_cast<std::size_t>(cinfo.output_width) * 3;
  while (cinfo.output_scanline < cinfo.output_height) {
    std::array<JSAMPROW, 16> rows;
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = pixels + (cinfo.output_scanline + i) * stride;
    jpeg_read_scanlines(&cinfo, rows.data(), static_cast<JDIMENSION>(rows.size()));
  }
}

void read_cmyk_rows(jpeg_decompress_struct& cinfo, std::uint8_t* row, std::uint8_t* pixels) {
  const std::size_t stride = static_cast<std::size_t>(cinfo.output_width) * 3;
  while (cinfo.output_scanline < cinfo.output_height) {
    std::uint8_t* out = pixels + cinfo.output_scanline * stride;
    if (jpeg_read_scanlines(&cinfo, &row, 1) == 1)
      cmyk_row_to_rgb(row, static_cast<int>(cinfo.output_width), out);
  }
}

// A progressive file whose scans never touch one of the components.
bool lacks_component(const jpeg_decompress_struct& cinfo) {
  if (!cinfo.progressive_mode || cinfo.coef_bits == nullptr) return false;
  for (int c = 0; c < cinfo.num_components; ++c) {
    if (cinfo.coef_bits[c][0] < 0) return true;
  }
  return false;
}

}  // namespace

Outcome<PhotoInfo> decode_jpeg(std::span<const std::byte> bytes, const Request& request, Image& image) {
  Session session(bytes);
  jpeg_decompress_struct& cinfo = session.cinfo;
  if (!session.guard([&] {
        jpeg_create_decompress(&cinfo);
        cinfo.client_data = &session;
        cinfo.src = &session.source;
        cinfo.progress = &session.progress;
        jpeg_read_header(&cinfo, TRUE);
      })) {
    return session.failure(true);
  }
  if (auto fits = check_size(cinfo.image_width, cinfo.image_height, *request.options); !fits) {
    return std::unexpected(fits.error());
  }
  // A Huffman-coded block takes at least one bit; a header that promises more than the file can hold lies.
  const std::uint64_t blocks = ((static_cast<std::uint64_t>(cinfo.image_width) + 7) / 8) *
                               ((static_cast<std::uint64_t>(cinfo.image_height) + 7) / 8);
  if (!cinfo.arith_code && blocks / 8 > bytes.size()) {
    return refuse(fmt::format("truncated: the header declares {} x {} pixels, which {} cannot hold",
                              cinfo.image_width, cinfo.image_height, human_bytes(bytes.size())));
  }
  const PhotoInfo info{static_cast<int>(cinfo.image_width), static_cast<int>(cinfo.image_height)};
  const bool cmyk = cinfo.num_components == 4;
  if (cinfo.num_components == 2 || cinfo.num_components > 4) {
    return refuse(fmt::format("unsupported: a JPEG of {} components", cinfo.num_components));
  }
  cinfo.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  cinfo.dct_method = JDCT_ISLOW;
  cinfo.scale_num = 1;
  cinfo.scale_denom = scale_denominator(session, request);
  if (!session.guard([&] { jpeg_calc_output_dimensions(&cinfo); })) return session.failure(true);
  const auto width = static_cast<int>(cinfo.output_width);
  const auto height = static_cast<int>(cinfo.output_height);
  image.reset(width, height);
  if (cmyk) request.scratch->resize(static_cast<std::size_t>(width) * 4);
  std::uint8_t* row = request.scratch->data();
  std::uint8_t* pixels = image.pixels.data();
  if (!session.guard([&] { jpeg_start_decompress(&cinfo); })) return session.failure(false);
  if (lacks_component(cinfo))
    return refuse("truncated: the data ends before every colour component was seen");
  if (!session.guard([&] { cmyk ? read_cmyk_rows(cinfo, row, pixels) : read_rows(cinfo, pixels); })) {
    return session.failure(false);
  }
  return info;
}

}  // namespace pomona::formats
