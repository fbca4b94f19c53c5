// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "pomona/edge/small_weights.h"

namespace pomona {

struct EdgeOptions {
  WeightStorage weights = WeightStorage::kFloat16;
  bool webgpu = true;  // the engine for graphics chips, which is loaded by those who choose it
  std::string server;  // origin of a Pomona server that may be asked with the reduced vector; may be empty
  std::string server_model;         // its name for this model; empty = the server's default
  std::filesystem::path catalogue;  // facts about the classes; empty = the starter catalogue
  bool overwrite = false;           // replace an older export
};

struct EdgeExport {
  std::size_t files = 0;            // without the compressed ones beside them
  std::uint64_t network_bytes = 0;  // the network's file, plain
  std::uint64_t wire_brotli = 0;  // bytes a first visit loads, WebGPU not counted, by a server that sends .br
  std::uint64_t wire_gzip = 0;    // the same by any other server
  std::uint64_t webgpu_brotli = 0;  // more, where somebody chooses it
  int components = 0;               // of the reduced vector; 0 = the model has none
};

// Makes `dest` a folder that any static web server can host: the page, the model and the engine that runs it
// in a browser, each with .gz and .br beside it. The folder appears whole or not at all. The model in it
// carries no training record. Throws Error: as read_model_file(); kUsage (a server that is no origin, a
// catalogue that is not JSON); kExists (`dest` is there and is no export, or `overwrite` is off); kIo.
EdgeExport export_web(const std::filesystem::path& model, const std::filesystem::path& dest,
                      const EdgeOptions& options);

}  // namespace pomona
