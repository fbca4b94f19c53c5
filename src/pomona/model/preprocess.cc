// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/preprocess.h"

#include <charconv>
#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/base/paths.h"

namespace pomona {
namespace {

using nlohmann::json;

constexpr int kLargestSide = 8192;  // pixels; the largest input a network may ask for

PreprocessSpec make(std::string_view mode, bool bgr, std::array<float, 3> mean, std::array<float, 3> std) {
  PreprocessSpec spec;
  spec.mode = mode;
  spec.bgr = bgr;
  spec.mean = mean;
  spec.std = std;
  return spec;
}

// The double whose shortest text is the float's, so that 123.675F is written as 123.675.
double shortest(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double wide = 0;
  std::from_chars(text, end, wide);
  return wide;
}

json channels_json(const std::array<float, 3>& values) {
  return {shortest(values[0]), shortest(values[1]), shortest(values[2])};
}

[[noreturn]] void refuse(const std::string& field, const std::string& wanted) {
  throw Error(ErrorCode::kFormat, "preprocessing: `" + field + "` must be " + wanted);
}

void read_channels(const json& object, const char* field, std::array<float, 3>& out) {
  const auto found = object.find(field);
  if (found == object.end()) return;
  if (!found->is_array() || found->size() != 3) refuse(field, "three numbers, one per channel");
  for (std::size_t i = 0; i < 3; ++i) {
    if (!(*found)[i].is_number()) refuse(field, "three numbers, one per channel");
    out[i] = (*found)[i].get<float>();
    if (!std::isfinite(out[i])) refuse(field, "three finite numbers");
  }
}

void read_flag(const json& object, const char* field, bool& out) {
  const auto found = object.find(field);
  if (found == object.end()) return;
  if (!found->is_boolean()) refuse(field, "true or false");
  out = found->get<bool>();
}

void read_side(const json& object, const char* field, int& out) {
  const auto found = object.find(field);
  if (found == object.end()) return;
  if (!found->is_number_integer() || found->get<double>() < 1 || found->get<double>() > kLargestSide) {
    refuse(field, "a whole number of pixels from 1 to " + std::to_string(kLargestSide));
  }
  out = found->get<int>();
}

std::optional<std::string> read_text(const json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end()) return std::nullopt;
  if (!found->is_string()) refuse(field, "text");
  return found->get<std::string>();
}

}  // namespace

PreprocessSpec preprocess_spec(std::string_view mode_or_file) {
  if (mode_or_file == "tf") return make("tf", false, {127.5F, 127.5F, 127.5F}, {127.5F, 127.5F, 127.5F});
  if (mode_or_file == "caffe") return make("caffe", true, {103.939F, 116.779F, 123.68F}, {1, 1, 1});
  if (mode_or_file == "torch") {
    return make("torch", false, {123.675F, 116.28F, 103.53F}, {58.395F, 57.12F, 57.375F});
  }
  if (mode_or_file == "lite") return make("lite", false, {127, 127, 127}, {128, 128, 128});
  const std::filesystem::path file(mode_or_file);
  if (file.extension() != ".json") {
    throw Error(ErrorCode::kUsage, "unknown preprocessing `" + std::string(mode_or_file) +
                                       "`: give tf, caffe, torch, lite, or a .json file with mean, std, ...");
  }
  const json parsed = parse_json(read_file(file));
  try {
    if (parsed.is_discarded()) throw Error(ErrorCode::kFormat, "preprocessing: not JSON");
    return preprocess_from_json(parsed);
  } catch (const Error& error) {
    throw Error(error.code(), file.string() + ": " + error.what());
  }
}

json to_json(const PreprocessSpec& spec) {
  return {{"mode", spec.mode},
          {"colour", spec.bgr ? "bgr" : "rgb"},
          {"mean", channels_json(spec.mean)},
          {"std", channels_json(spec.std)},
          {"width", spec.width},
          {"height", spec.height},
          {"kernel", to_string(spec.kernel)},
          {"fit", to_string(spec.fit)},
          {"exif_orientation", spec.exif_orientation},
          {"jpeg_scale", spec.jpeg_scale == JpegScale::kAuto ? "auto" : "off"}};
}

PreprocessSpec preprocess_from_json(const json& object) {
  if (!object.is_object()) refuse("preprocessing", "a JSON object");
  PreprocessSpec spec;
  spec.mode = "custom";
  if (const auto mode = read_text(object, "mode"); mode && *mode != "custom") {
    if (*mode != "tf" && *mode != "caffe" && *mode != "torch" && *mode != "lite") {
      refuse("mode", "tf, caffe, torch, lite or custom");
    }
    spec = preprocess_spec(*mode);
  } else if (!object.contains("mean") || !object.contains("std")) {
    refuse("mean", "there, and `std` too, where `mode` does not name tf, caffe, torch or lite");
  }
  const PreprocessSpec named = spec;
  read_channels(object, "mean", spec.mean);
  read_channels(object, "std", spec.std);
  for (const float std : spec.std) {
    if (std == 0) refuse("std", "three numbers other than zero");
  }
  if (const auto colour = read_text(object, "colour")) {
    if (*colour != "rgb" && *colour != "bgr") refuse("colour", "rgb or bgr");
    spec.bgr = *colour == "bgr";
  }
  if (spec.mean != named.mean || spec.std != named.std || spec.bgr != named.bgr) spec.mode = "custom";
  read_side(object, "width", spec.width);
  read_side(object, "height", spec.height);
  spec.sized = object.contains("width") || object.contains("height");
  try {
    if (const auto kernel = read_text(object, "kernel")) spec.kernel = parse_kernel(*kernel);
    if (const auto fit = read_text(object, "fit")) spec.fit = parse_fit(*fit);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kFormat) throw;
    throw Error(ErrorCode::kFormat, std::string("preprocessing: ") + error.what());
  }
  read_flag(object, "exif_orientation", spec.exif_orientation);
  if (const auto scale = read_text(object, "jpeg_scale")) {
    if (*scale != "auto" && *scale != "off") refuse("jpeg_scale", "auto or off");
    spec.jpeg_scale = *scale == "auto" ? JpegScale::kAuto : JpegScale::kOff;
  }
  return spec;
}

}  // namespace pomona
