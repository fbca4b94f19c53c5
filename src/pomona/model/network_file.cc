// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/network_file.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include <onnx/onnx_pb.h>

#include <openvino/core/model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/tensor.hpp>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/text.h"
#include "pomona/model/onnx_graph.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

std::string hash_files(std::vector<fs::path> files, const fs::path& root) {
  std::ranges::sort(files);
  std::string lines;
  for (const auto& file : files) {
    lines += sha256_file(file) + "  " + file.lexically_relative(root).generic_string() + "\n";
  }
  return sha256_hex(lines);
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file()) files.push_back(it->path());
  }
  if (error) throw Error(ErrorCode::kIo, "cannot list " + folder.string() + ": " + error.message());
  return files;
}

// Tells files that are something else altogether, on which OpenVINO would try all its readers aloud.
void check_beginning(const fs::path& file, NetworkFormat format) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorCode::kPermission, "cannot read the network " + file.string());
  std::string head(64, '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(in.gcount()));
  if (format == NetworkFormat::kTfLite && (head.size() < 8 || head.substr(4, 4) != "TFL3")) {
    throw Error(ErrorCode::kFormat, file.string() + ": not a TFLite network");
  }
  const std::size_t first = head.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (format == NetworkFormat::kIr && (first == std::string::npos || head[first] != '<')) {
    throw Error(ErrorCode::kFormat, file.string() + ": not an OpenVINO network: it is not XML");
  }
}

// OpenVINO 2026.4 takes the steps of 16-bit quantization out of a graph and gets other numbers: cosine 0.43
// to ONNX Runtime's on MobileNetV2.
void refuse_16_bit_steps(const onnx::ModelProto& network, const fs::path& file) {
  using T = onnx::TensorProto;
  std::set<std::string_view> wide;
  for (const auto& tensor : network.graph().initializer()) {
    if (tensor.data_type() == T::UINT16 || tensor.data_type() == T::INT16) wide.insert(tensor.name());
  }
  for (const auto& node : network.graph().node()) {
    if (node.op_type() != "QuantizeLinear") continue;
    if (std::ranges::any_of(node.input(), [&](const auto& name) { return wide.contains(name); })) {
      throw Error(ErrorCode::kUnavailable,
                  file.string() + ": it is quantized to 16 bits (QuantizeLinear " + node.name() +
                      "), which OpenVINO computes wrongly: give it in floating point, or in 8 bits");
    }
  }
}

std::shared_ptr<ov::Model> read_onnx(ov::Core& core, const fs::path& file, const std::string& layer) {
  OnnxModel onnx = load_onnx(file);
  refuse_16_bit_steps(*onnx, file);
  if (!has_ml_nodes(*onnx)) {
    onnx.reset();
    return core.read_model(file.string());
  }
  inline_external_data(*onnx, folder_of(file));
  std::vector<std::string> outputs = outputs_without_ml(*onnx);
  if (outputs.empty()) {
    if (layer == "penultimate") {
      throw Error(ErrorCode::kUsage, file.string() +
                                         ": all its outputs come from ai.onnx.ml nodes, which the engine "
                                         "does not run: name a tensor before them with --layer");
    }
    outputs = {layer};
  }
  prune_onnx(*onnx, outputs);
  const std::string bytes = serialize_onnx(*onnx);
  onnx.reset();
  return core.read_model(bytes, ov::Tensor());
}

}  // namespace

std::string lower_extension(const fs::path& file) {
  return lower_case(file.extension().string());
}

NetworkFormat network_format(const fs::path& file) {
  std::error_code error;
  if (fs::is_directory(file, error)) {
    if (fs::exists(file / "saved_model.pb", error)) return NetworkFormat::kSavedModel;
    throw Error(ErrorCode::kUsage,
                file.string() + " is a folder without saved_model.pb: not a TensorFlow SavedModel");
  }
  if (!fs::exists(file, error)) {
    throw Error(ErrorCode::kNotFound, "there is no network at " + file.string());
  }
  const std::string extension = lower_extension(file);
  if (extension == ".onnx") return NetworkFormat::kOnnx;
  if (extension == ".xml") return NetworkFormat::kIr;
  if (extension == ".tflite") return NetworkFormat::kTfLite;
  throw Error(ErrorCode::kUsage, file.string() +
                                     ": a network is an .onnx, an OpenVINO .xml, a .tflite file or a "
                                     "TensorFlow SavedModel folder");
}

std::vector<fs::path> network_files(const fs::path& file) {
  std::vector<fs::path> files = {file};
  const NetworkFormat format = network_format(file);
  if (format == NetworkFormat::kIr) {
    fs::path weights = file;
    weights.replace_extension(".bin");
    if (fs::exists(weights)) files.push_back(weights);
  }
  if (format == NetworkFormat::kOnnx) {
    for (fs::path& beside : external_files(*load_onnx(file), folder_of(file)))
      files.push_back(std::move(beside));
  }
  return files;
}

std::string network_sha256(const fs::path& file) {
  switch (network_format(file)) {
    case NetworkFormat::kTfLite:
      return sha256_file(file);
    case NetworkFormat::kSavedModel:
      return hash_files(files_below(file), file);
    case NetworkFormat::kIr: {
      fs::path weights = file;
      weights.replace_extension(".bin");
      std::vector<fs::path> files = {file};
      if (fs::exists(weights)) files.push_back(weights);
      return hash_files(files, folder_of(file));
    }
    case NetworkFormat::kOnnx:
      break;
  }
  const fs::path folder = folder_of(file);
  std::vector<fs::path> files = external_files(*load_onnx(file), folder);
  if (files.empty()) return sha256_file(file);
  files.push_back(fs::canonical(file));
  return hash_files(files, fs::canonical(folder));
}

std::shared_ptr<ov::Model> read_network(ov::Core& core, const fs::path& file, NetworkFormat format,
                                        const std::string& layer) {
  try {
    if (format == NetworkFormat::kTfLite || format == NetworkFormat::kIr) check_beginning(file, format);
    return format == NetworkFormat::kOnnx ? read_onnx(core, file, layer) : core.read_model(file.string());
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kFormat,
                file.string() + ": OpenVINO cannot read this network: " + openvino_reason(error));
  }
}

std::shared_ptr<ov::Model> read_subgraph(ov::Core& core, const onnx::ModelProto& parsed,
                                         const std::string& tensor) {
  onnx::ModelProto part = parsed;
  prune_onnx(part, {tensor});
  part.clear_metadata_props();
  const std::string bytes = serialize_onnx(part);
  return core.read_model(bytes, ov::Tensor());
}

std::string openvino_reason(const std::exception& error) {
  // Its messages are several lines, most of them "Exception from src/...:123:" and "Check '...' failed at
  // ...".
  std::istringstream lines(error.what());
  std::string text;
  std::string line;
  while (std::getline(lines, line)) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (line.empty() || line.starts_with("Exception from ")) continue;
    text += (text.empty() ? "" : " ") + line;
    if (text.size() > 400) break;
  }
  if (text.size() > 400) text = text.substr(0, 400) + "...";
  return text.empty() ? "no reason given" : text;
}

}  // namespace pomona
