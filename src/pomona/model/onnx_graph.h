// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace onnx {
class ModelProto;
}

namespace pomona {

// An ONNX file in memory. ONNX files are input from outside: what load_onnx() returns has passed
// check_onnx().
using OnnxModel = std::shared_ptr<onnx::ModelProto>;

// Parses a binary ONNX file (at most 2 GB, protobuf's own limit) and checks it. External tensor data is left
// where it is. Throws Error{kNotFound | kIo | kFormat}; messages start with the file's name.
OnnxModel load_onnx(const std::filesystem::path& file);

// The same from bytes; tensors must not point outside the bytes where `folder` is empty, nor outside
// `folder`.
OnnxModel parse_onnx(std::string_view bytes, const std::filesystem::path& folder = {});

// Throws Error{kFormat} where the graph is not a sound one: no outputs; a value used before it is made, or
// made twice; a tensor whose bytes do not fit its shape, or larger than 2^33 bytes; external data that is
// absolute, leaves `folder` (by ".." or a symbolic link), is not there or is too short.
void check_onnx(const onnx::ModelProto& model, const std::filesystem::path& folder);

// The files, besides the .onnx itself, that its tensors point to: sorted, each once.
std::vector<std::filesystem::path> external_files(const onnx::ModelProto& model,
                                                  const std::filesystem::path& folder);

// Reads external tensor data into the model, so that it is one piece. Throws Error{kIo | kFormat}.
void inline_external_data(onnx::ModelProto& model, const std::filesystem::path& folder);

// Keeps what the named tensors need, makes them the graph's outputs, in this order, and drops every other
// node, initializer and value info; inputs stay. Opsets of domains no node uses any more are dropped.
// Throws Error{kUsage} where a tensor is not in the graph; the message lists its outputs.
void prune_onnx(onnx::ModelProto& model, const std::vector<std::string>& tensors);

// The outputs of the graph that OpenVINO can compute: those that need no node of the domain ai.onnx.ml
// (tree ensembles and the like), in the graph's order.
std::vector<std::string> outputs_without_ml(const onnx::ModelProto& model);

// True where the graph holds a node of the domain ai.onnx.ml.
bool has_ml_nodes(const onnx::ModelProto& model);

// Deterministic bytes of the model. Throws Error{kFormat} where it is over protobuf's 2 GB.
std::string serialize_onnx(const onnx::ModelProto& model);

// metadata_props, by key; empty where it is not there.
std::string onnx_metadata(const onnx::ModelProto& model, std::string_view key);
void set_onnx_metadata(onnx::ModelProto& model, std::string_view key, std::string_view value);

}  // namespace pomona
