// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/network_record.h"

#include <filesystem>

#include "pomona/base/error.h"

namespace pomona {
namespace {

std::string absolute_where_a_file(const std::string& name) {
  std::error_code error;
  return std::filesystem::exists(name, error) ? std::filesystem::absolute(name).lexically_normal().string()
                                              : name;
}

}  // namespace

nlohmann::json to_json(const NetworkOptions& options) {
  nlohmann::json json = {{"model", absolute_where_a_file(options.model)},
                         {"layer", options.layer},
                         {"pool", to_string(options.pool)},
                         {"precision", to_string(options.precision)},
                         {"exif_orientation", options.exif_orientation},
                         {"jpeg_scale", options.jpeg_scale == JpegScale::kAuto ? "auto" : "off"}};
  if (options.preprocess) json["preprocess"] = absolute_where_a_file(*options.preprocess);
  if (options.input_size) json["input_size"] = *options.input_size;
  if (options.kernel) json["resize"] = to_string(*options.kernel);
  if (options.fit) json["fit"] = to_string(*options.fit);
  return json;
}

NetworkOptions network_options_from_json(const nlohmann::json& json) {
  try {
    NetworkOptions options;
    options.model = json.at("model").get<std::string>();
    options.layer = json.at("layer").get<std::string>();
    options.pool = parse_pool(json.at("pool").get<std::string>());
    options.precision = parse_precision(json.at("precision").get<std::string>());
    options.exif_orientation = json.at("exif_orientation").get<bool>();
    options.jpeg_scale = json.at("jpeg_scale") == "off" ? JpegScale::kOff : JpegScale::kAuto;
    if (json.contains("preprocess")) options.preprocess = json["preprocess"].get<std::string>();
    if (json.contains("input_size")) options.input_size = json["input_size"].get<int>();
    if (json.contains("resize")) options.kernel = parse_kernel(json["resize"].get<std::string>());
    if (json.contains("fit")) options.fit = parse_fit(json["fit"].get<std::string>());
    return options;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCode::kFormat, std::string("the record of the network is damaged: ") + error.what());
  }
}

NetworkOptions network_of_run(const nlohmann::json& run, const nlohmann::json& asked) {
  nlohmann::json record = run.at("network");
  if (asked.is_object() && record.is_object()) record.update(asked);
  NetworkOptions options = network_options_from_json(record);
  options.precision = parse_precision(run.at("fingerprint").value("precision", "auto"));
  return options;
}

}  // namespace pomona
