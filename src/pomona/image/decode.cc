// SPDX-License-Identifier: Apache-2.0
#include "pomona/image/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "pomona/base/text.h"
#include "pomona/image/exif.h"
#include "pomona/image/formats.h"

namespace pomona {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Brands of an ISO base media file: the major one first, then the compatible ones.
std::optional<std::string_view> sniff_ftyp(std::string_view text) {
  const auto size_byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t declared = (static_cast<std::size_t>(size_byte(0)) << 24) | (size_byte(1) << 16U) |
                               (size_byte(2) << 8U) | size_byte(3);
  const std::size_t end = std::min({declared, text.size(), std::size_t{512}});
  bool heif = false;
  for (std::size_t at = 8; at + 4 <= end; at += 4) {
    if (at == 12) continue;  // the minor version
    const std::string_view brand = text.substr(at, 4);
    if (brand == "avif" || brand == "avis") return "avif";
    for (std::string_view known : {"heic", "heix", "hevc", "hevx", "heim", "heis", "hevm", "hevs"}) {
      if (brand == known) return "heic";
    }
    heif = heif || brand == "mif1" || brand == "msf1";
  }
  return heif ? std::optional<std::string_view>("heic") : std::nullopt;
}

// What the bytes are instead of a photo, for the owner of a file with a wrong name.
std::string describe_unknown(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
  struct Known {
    std::string_view start;
    std::string_view name;
  };
  static constexpr std::array<Known, 10> kKnown = {{{"GIF8", "a GIF"},
                                                    {"BM", "a BMP"},
                                                    {"II*", "a TIFF"},
                                                    {"MM\0*", "a TIFF"},
                                                    {"%PDF", "a PDF"},
                                                    {"PK\x03\x04", "a ZIP archive"},
                                                    {"\x1f\x8b", "gzip data"},
                                                    {"<!DOCTYPE", "a web page"},
                                                    {"<html", "a web page"},
                                                    {"<?xml", "XML"}}};
  for (const Known& known : kKnown) {
    if (text.starts_with(known.start)) return fmt::format("not a photo Pomona reads: it is {}", known.name);
  }
  std::string start;
  for (std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
    start += fmt::format("{}{:02x}", start.empty() ? "" : " ", std::to_integer<int>(byte));
  }
  return fmt::format("not an image: it starts with {}, which is no JPEG, PNG, WebP, HEIC or AVIF", start);
}

}  // namespace

namespace formats {

std::unexpected<Rejection> refuse(std::string reason) {
  // The libraries' own words may hold line ends, and bytes of the file.
  for (char& c : reason) {
    if (c < ' ' || c > '~') c = ' ';
  }
  while (reason.ends_with(' ')) reason.pop_back();
  return reject(Stage::kDecode, std::move(reason));
}

Outcome<void> check_size(std::uint64_t width, std::uint64_t height, const DecodeOptions& options) {
  if (width == 0 || height == 0) {
    return refuse(fmt::format("the header declares {} x {} pixels: no picture", width, height));
  }
  constexpr std::uint64_t kLongestSide = 1U << 30;
  if (width > kLongestSide || height > kLongestSide || width * height > options.max_pixels) {
    return refuse(fmt::format("too large: the header declares {} x {} pixels, the limit is {} pixels", width,
                              height, human_count(options.max_pixels)));
  }
  return {};
}

}  // namespace formats

struct Decoder::Impl {
  std::vector<std::uint8_t> scratch;
  Image turned;

  Outcome<PhotoInfo> decode(std::span<const std::byte> bytes, const DecodeOptions& options, Image& image) {
    if (bytes.empty()) return formats::refuse("empty: the file holds zero bytes");
    const auto format = sniff_format(bytes);
    if (!format) return formats::refuse(describe_unknown(bytes));
    formats::Request request;
    request.options = &options;
    request.scratch = &scratch;
    if (options.exif_orientation) request.orientation = exif_orientation(*format, bytes);
    Outcome<PhotoInfo> info;
    if (*format == "jpeg") {
      info = formats::decode_jpeg(bytes, request, image);
    } else if (*format == "png") {
      info = formats::decode_png(bytes, request, image);
    } else if (*format == "webp") {
      info = formats::decode_webp(bytes, request, image);
    } else {
      info = formats::decode_heif(bytes, request, image);
    }
    if (!info || request.orientation == 1) return info;
    apply_orientation(request.orientation, image, turned);
    if (request.orientation >= 5) std::swap(info->width, info->height);
    return info;
  }

  // One huge photo must not keep its memory for the rest of the job.
  void shrink() {
    constexpr std::size_t kKept = std::size_t{64} << 20;
    if (scratch.capacity() > kKept) std::vector<std::uint8_t>().swap(scratch);
    if (turned.pixels.capacity() > kKept) std::vector<std::uint8_t>().swap(turned.pixels);
  }
};

Decoder::Decoder() : impl_(std::make_unique<Impl>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

Outcome<PhotoInfo> Decoder::decode(std::span<const std::byte> bytes, const DecodeOptions& options,
                                   Image& image) {
  try {
    auto info = impl_->decode(bytes, options, image);
    impl_->shrink();
    return info;
  } catch (const std::bad_alloc&) {
    impl_->shrink();
    return formats::refuse("too large: there is not enough memory to decode it");
  }
}

std::optional<std::string_view> sniff_format(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes);
  if (text.starts_with("\xFF\xD8\xFF")) return "jpeg";
  if (text.starts_with("\x89PNG\r\n\x1A\n")) return "png";
  if (text.size() >= 12 && text.starts_with("RIFF") && text.substr(8, 4) == "WEBP") return "webp";
  if (text.size() >= 12 && text.substr(4, 4) == "ftyp") return sniff_ftyp(text);
  return std::nullopt;
}

}  // namespace pomona
