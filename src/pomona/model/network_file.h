// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace ov {
class Core;
class Model;
}  // namespace ov

namespace onnx {
class ModelProto;
}

namespace pomona {

enum class NetworkFormat : std::uint8_t { kOnnx, kIr, kTfLite, kSavedModel };

// The format of a network's file or folder, by its name and what is in it.
// Throws Error{kNotFound | kUsage}; the message lists the formats.
NetworkFormat network_format(const std::filesystem::path& file);

// The ending of a file's name, small letters, with its dot.
std::string lower_extension(const std::filesystem::path& file);

// The files a network is made of, its own first: IR's .bin and ONNX external data beside it; a SavedModel is
// its folder. Throws Error.
std::vector<std::filesystem::path> network_files(const std::filesystem::path& file);

// SHA-256 of what the network is made of: of the one file, or, where it is several (IR's .xml and .bin, a
// SavedModel folder, ONNX external data), of the sorted lines "sha256  relative name". Throws Error.
std::string network_sha256(const std::filesystem::path& file);

// Reads a network for the CPU after checking what can be checked beforehand (check_onnx(); a TFLite file's
// offsets). An ONNX graph that holds ai.onnx.ml nodes is cut down to the outputs that do without them, or to
// `layer`. Throws Error{kNotFound | kPermission | kIo | kFormat | kUsage}.
std::shared_ptr<ov::Model> read_network(ov::Core& core, const std::filesystem::path& file,
                                        NetworkFormat format, const std::string& layer);

// The part of a checked ONNX graph that makes `tensor`, as OpenVINO reads it. Throws Error{kFormat}.
std::shared_ptr<ov::Model> read_subgraph(ov::Core& core, const onnx::ModelProto& parsed,
                                         const std::string& tensor);

// OpenVINO's own words without the source lines in front of them, on one line.
std::string openvino_reason(const std::exception& error);

}  // namespace pomona
