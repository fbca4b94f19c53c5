// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
#include <memory>

#include "pomona/base/text.h"
#include "pomona/image/formats.h"

namespace pomona::formats {
namespace {

// The first frame of an animation, on the animation's canvas, as Pillow shows it.
Outcome<PhotoInfo> decode_first_frame(std::span<const std::byte> bytes, Image& image) {
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, &options), WebPAnimDecoderDelete);
  std::uint8_t* canvas = nullptr;
  int timestamp = 0;
  if (!decoder || WebPAnimDecoderGetNext(decoder.get(), &canvas, &timestamp) == 0) {
    return refuse("damaged or truncated: the first frame of the WebP animation cannot be decoded");
  }
  const std::size_t count = image.pixels.size() / 3;
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&image.pixels[i * 3], canvas + i * 4, 3);
  return PhotoInfo{image.width, image.height};
}

}  // namespace

Outcome<PhotoInfo> decode_webp(std::span<const std::byte> bytes, const Request& request, Image& image) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::uint64_t declared = 8;
  for (std::size_t i = 0; i < 4; ++i) declared += static_cast<std::uint64_t>(data[4 + i]) << (8 * i);
  const bool cut = declared > bytes.size();
  const auto truncated = [&] {
    return refuse(
        fmt::format("truncated: {} of {} are there", human_bytes(bytes.size()), human_bytes(declared)));
  };
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) {
    if (cut) return truncated();
    return refuse("damaged: the WebP header cannot be read");
  }
  if (auto fits = check_size(static_cast<std::uint64_t>(features.width),
                             static_cast<std::uint64_t>(features.height), *request.options);
      !fits) {
    return std::unexpected(fits.error());
  }
  if (cut) return truncated();
  image.reset(features.width, features.height);
  if (features.has_animation != 0) return decode_first_frame(bytes, image);
  if (WebPDecodeRGBInto(data, bytes.size(), image.pixels.data(), image.pixels.size(), image.width * 3) ==
      nullptr) {
    return refuse("damaged: the WebP data cannot be decoded");
  }
  return PhotoInfo{image.width, image.height};
}

}  // namespace pomona::formats
