// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "pomona/image/decode.h"
#include "pomona/image/resize.h"

namespace pomona {

// How pixels become the network's input: decode policy, resize, then (x - mean) / std per channel, in the
// network's colour order, with x in [0, 255].
struct PreprocessSpec {
  std::string mode = "tf";  // tf | caffe | torch | lite, or "custom" where read from a file
  bool bgr = false;         // the network wants blue first
  std::array<float, 3> mean = {127.5F, 127.5F, 127.5F};  // in the network's colour order
  std::array<float, 3> std = {127.5F, 127.5F, 127.5F};
  int width = 224;     // pixels
  int height = 224;    // pixels
  bool sized = false;  // width and height were asked for, and not only assumed
  Kernel kernel = Kernel::kBicubic;
  Fit fit = Fit::kSquash;
  bool exif_orientation = true;
  JpegScale jpeg_scale = JpegScale::kAuto;
};

// Keras's modes `tf` (x / 127.5 - 1), `caffe` (BGR, minus 103.939 116.779 123.68), `torch` (mean
// 0.485 0.456 0.406, std 0.229 0.224 0.225, of x / 255), and EfficientNet-Lite's `lite` ((x - 127) / 128);
// else a JSON file with the fields above. Throws Error{kUsage | kNotFound | kFormat}.
PreprocessSpec preprocess_spec(std::string_view mode_or_file);

nlohmann::json to_json(const PreprocessSpec& spec);
PreprocessSpec preprocess_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

}  // namespace pomona
