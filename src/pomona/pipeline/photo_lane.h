// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "pomona/image/decode.h"
#include "pomona/image/resize.h"
#include "pomona/model/network.h"
#include "pomona/pipeline/stage_clock.h"

namespace pomona {

// Encoded photos -> vectors, a batch at a time: decoder, resizer and lane of one worker. Not thread-safe.
class PhotoLane {
 public:
  explicit PhotoLane(const Network& network)
      : lane_(network.make_lane()),
        spec_(network.preprocess()),
        batch_(static_cast<std::size_t>(network.batch())) {
    options_.exif_orientation = spec_.exif_orientation;
    options_.jpeg_scale = spec_.jpeg_scale;
    options_.target_width = spec_.width;
    options_.target_height = spec_.height;
  }

  std::size_t room() const { return batch_ - filled_; }
  std::size_t filled() const { return filled_; }

  // Decodes a photo into the next slot; there must be room.
  Outcome<PhotoInfo> add(std::span<const std::byte> bytes) {
    clock_.start();
    auto info = decoder_.decode(bytes, options_, image_);
    clock_.lap(decode_seconds_);
    if (info) {
      resizer_.resize(image_, spec_.width, spec_.height, spec_.kernel, spec_.fit,
                      lane_.pixels(static_cast<int>(filled_)));
      clock_.lap(resize_seconds_);
      ++filled_;
    }
    return info;
  }

  // Puts a picture that is decoded already into the next slot; there must be room. Its EXIF tag, if it had
  // one, is the caller's business.
  PhotoInfo add(ImageView picture) {
    clock_.start();
    resizer_.resize(picture, spec_.width, spec_.height, spec_.kernel, spec_.fit,
                    lane_.pixels(static_cast<int>(filled_)));
    clock_.lap(resize_seconds_);
    ++filled_;
    return {.width = picture.width, .height = picture.height};
  }

  // Runs the network; vectors of the slots filled so far stand in features() until the next add().
  void infer() {
    clock_.start();
    lane_.infer();
    clock_.lap(featurize_seconds_);
    filled_ = 0;
  }
  std::span<const float> features(std::size_t slot) const { return lane_.features(static_cast<int>(slot)); }

  // Time spent so far, by stage.
  double decode_seconds() const { return decode_seconds_; }
  double resize_seconds() const { return resize_seconds_; }
  double featurize_seconds() const { return featurize_seconds_; }

 private:
  InferLane lane_;
  PreprocessSpec spec_;
  std::size_t batch_;
  std::size_t filled_ = 0;
  DecodeOptions options_;
  Decoder decoder_;
  Resizer resizer_;
  Image image_;
  StageClock clock_;
  double decode_seconds_ = 0;
  double resize_seconds_ = 0;
  double featurize_seconds_ = 0;
};

}  // namespace pomona
