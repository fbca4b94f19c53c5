// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/formats.h"

#ifdef POMONA_HAS_HEIF
#include <fmt/format.h>
#include <libheif/heif.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace pomona {

bool has_heif() {
  return true;
}

namespace formats {
namespace {

std::unexpected<Rejection> refuse_heif(const heif_error& error) {
  const char* why = error.message != nullptr ? error.message : "unknown error";
  if (error.code == heif_error_Unsupported_filetype || error.code == heif_error_Unsupported_feature ||
      error.code == heif_error_Decoder_plugin_error) {
    return refuse(fmt::format("unsupported HEIC or AVIF: {}", why));
  }
  return refuse(fmt::format("damaged or truncated HEIC or AVIF: {}", why));
}

}  // namespace

Outcome<PhotoInfo> decode_heif(std::span<const std::byte> bytes, const Request& request, Image& image) {
  const std::unique_ptr<heif_context, decltype(&heif_context_free)> context(heif_context_alloc(),
                                                                            heif_context_free);
  heif_error error =
      heif_context_read_from_memory_without_copy(context.get(), bytes.data(), bytes.size(), nullptr);
  if (error.code != heif_error_Ok) return refuse_heif(error);
  heif_image_handle* raw_handle = nullptr;
  error = heif_context_get_primary_image_handle(context.get(), &raw_handle);
  if (error.code != heif_error_Ok) return refuse_heif(error);
  const std::unique_ptr<heif_image_handle, decltype(&heif_image_handle_release)> handle(
      raw_handle, heif_image_handle_release);
  const auto declared_width =
      static_cast<std::uint64_t>(std::max(0, heif_image_handle_get_width(handle.get())));
  const auto declared_height =
      static_cast<std::uint64_t>(std::max(0, heif_image_handle_get_height(handle.get())));
  if (auto fits = check_size(declared_width, declared_height, *request.options); !fits) {
    return std::unexpected(fits.error());
  }
  const std::unique_ptr<heif_decoding_options, decltype(&heif_decoding_options_free)> options(
      heif_decoding_options_alloc(), heif_decoding_options_free);
  options->ignore_transformations = request.options->exif_orientation ? 0 : 1;
  heif_image* raw_decoded = nullptr;
  error = heif_decode_image(handle.get(), &raw_decoded, heif_colorspace_RGB, heif_chroma_interleaved_RGB,
                            options.get());
  if (error.code != heif_error_Ok) return refuse_heif(error);
  const std::unique_ptr<heif_image, decltype(&heif_image_release)> decoded(raw_decoded, heif_image_release);
  int stride = 0;
  const std::uint8_t* rows = heif_image_get_plane_readonly(decoded.get(), heif_channel_interleaved, &stride);
  const int width = heif_image_get_width(decoded.get(), heif_channel_interleaved);
  const int height = heif_image_get_height(decoded.get(), heif_channel_interleaved);
  if (rows == nullptr || width <= 0 || height <= 0 || stride < width * 3) {
    return refuse("damaged: the HEIC or AVIF holds no picture");
  }
  image.reset(width, height);
  const std::size_t row_bytes = static_cast<std::size_t>(width) * 3;
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    std::memcpy(image.pixels.data() + y * row_bytes, rows + y * static_cast<std::size_t>(stride), row_bytes);
  }
  return PhotoInfo{width, height};
}

}  // namespace formats
}  // namespace pomona

#else

namespace pomona {

bool has_heif() {
  return false;
}

namespace formats {

Outcome<PhotoInfo> decode_heif(std::span<const std::byte>, const Request&, Image&) {
  return refuse("unsupported: this build of Pomona reads no HEIC or AVIF (it was built without libheif)");
}

}  // namespace formats
}  // namespace pomona

#endif
