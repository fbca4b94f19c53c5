// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pomona/base/progress.h"
#include "pomona/model/preprocess.h"

namespace pomona {

// What is known about a network before it is opened.
struct ModelCard {
  std::string name;         // as given to --model
  std::string title;        // for people
  std::string url;          // where `pull` gets it; empty where set-up makes it or the user added it
  std::string source;       // who made the weights, in one line
  std::string sha256;       // of the file; empty where not known beforehand (made at set-up)
  std::uint64_t bytes = 0;  // of the file; 0 where not known
  std::string licence;
  PreprocessSpec preprocess;
  std::string layer = "penultimate";
  int dimension = 0;             // d
  std::uint64_t parameters = 0;  // of the whole network
  std::optional<double> top1;    // ImageNet, per cent, as its makers state it
  std::filesystem::path file;    // where it is, or would be, on this machine
  bool installed = false;
};

// The built-in networks and those added under models_home(), by name.
std::vector<ModelCard> list_models();

// Throws Error{kNotFound} that lists the names there are.
ModelCard find_model(const std::string& name);

// Downloads a built-in network: resumes a partial file, checks size and SHA-256, then renames into place.
// Honours https_proxy and no_proxy. Throws Error{kUnavailable | kMismatch | kIo}; nothing half-written stays
// under its final name. Does nothing where it is there already.
ModelCard pull_model(const std::string& name, const Hooks& hooks);

// Copies a network (.onnx, .xml with its .bin, .tflite, SavedModel folder) into the registry under `name`,
// with its card, after it was cut as it will be when it runs. Where `preprocess` states no size, its own.
// Throws Error{kExists | kNotFound | kFormat | kUsage}.
ModelCard add_model(const std::string& name, const std::filesystem::path& file,
                    const PreprocessSpec& preprocess, const std::string& layer, const std::string& licence);

}  // namespace pomona
