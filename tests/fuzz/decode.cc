// SPDX-License-Identifier: Apache-2.0
// Photos: every decoder, at full size and scaled down, EXIF and XMP, turning, resizing; PNGs with
// transparency. Input: a byte of choices, the file.
#include <vector>

#include "fuzz.h"
#include "pomona/image/decode.h"
#include "pomona/image/exif.h"
#include "pomona/image/resize.h"
#include "pomona/image/rgba.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // As in a job: one decoder for all photos, so that nothing of one may harm the next.
  static Decoder decoder;
  static Resizer resizer;
  fuzz::Input input(data, size);
  const std::uint8_t choices = input.byte();
  DecodeOptions options;
  options.max_pixels = 1 << 20;
  options.exif_orientation = (choices & 1) == 0;
  options.jpeg_scale = (choices & 2) == 0 ? JpegScale::kAuto : JpegScale::kOff;
  options.target_width = options.target_height = (choices & 4) == 0 ? 32 : (choices & 8) == 0 ? 224 : 0;
  Image image;
  const auto info = decoder.decode(input.bytes(), options, image);
  if (info) {
    fuzz::require(image.width > 0 && image.height > 0, "a photo without pixels was taken");
    fuzz::require(image.pixels.size() >=
                      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3,
                  "fewer pixels than width and height say");
    fuzz::require(info->width >= image.width && info->height >= image.height, "the photo grew");
    std::vector<std::uint8_t> small(32 * 32 * 3);
    resizer.resize(image, 32, 32, static_cast<Kernel>((choices >> 4) % 3),
                   static_cast<Fit>((choices >> 6) % 3), small);
  } else {
    fuzz::require(!info.error().reason.empty(), "a photo was refused without a reason");
  }
  for (const char* format : {"jpeg", "png", "webp", "heic"}) {
    const int orientation = exif_orientation(format, input.bytes());
    fuzz::require(orientation >= 1 && orientation <= 8, "an orientation that is none");
  }
  tiff_orientation(input.bytes());
  if (input.text().starts_with("\x89PNG") && input.text().size() > 24) {
    // Width and height are bounded here, as decode_png_rgba() has a limit of its own for people's own files.
    const auto side = [&](std::size_t at) {
      return static_cast<unsigned char>(input.text()[at]) == 0 &&
             static_cast<unsigned char>(input.text()[at + 1]) == 0 &&
             static_cast<unsigned char>(input.text()[at + 2]) < 4;
    };
    if (side(16) && side(20)) static_cast<void>(decode_png_rgba(input.bytes()));
  }
  return 0;
}
