// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/registry.h"

#include <algorithm>
#include <chrono>
#include <set>

#include <nlohmann/json.hpp>
#include <openvino/runtime/core.hpp>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/model/graph_cut.h"
#include "pomona/model/network_file.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/model/registry_cards.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kCardFile = "card.json";
constexpr int kCardVersion = 1;
constexpr std::string_view kStaging = ".adding";  // ending of a folder that is to become a network's

void check_name(const std::string& name) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (name.empty() || name.size() > 100 || name.front() == '.' || name.front() == '-' ||
      !std::ranges::all_of(name, fine)) {
    throw Error(ErrorCode::kUsage, "`" + name +
                                       "` is no name for a network: letters, digits, `-`, `_` and `.`, "
                                       "up to 100, beginning with a letter or digit");
  }
  const std::string extension = fs::path(name).extension().string();
  if (extension == ".onnx" || extension == ".xml" || extension == ".tflite") {
    throw Error(ErrorCode::kUsage,
                "`" + name + "` would be taken for a file: leave the ending out of the name");
  }
}

ModelCard card_from_json(const json& object, const fs::path& folder) {
  if (object.value("format_version", kCardVersion) > kCardVersion) {
    throw Error(ErrorCode::kFormat,
                "this card was written by a newer Pomona: use that version, or add the network anew");
  }
  ModelCard card;
  card.name = folder.filename().string();
  card.title = object.value("title", card.name);
  card.source = object.value("source", "");
  card.sha256 = object.value("sha256", "");
  card.bytes = object.value("bytes", std::uint64_t{0});
  card.licence = object.value("licence", "");
  card.preprocess = preprocess_from_json(object.at("preprocess"));
  card.layer = object.value("layer", "penultimate");
  const fs::path file = object.at("file").get<std::string>();
  if (file.empty() || file.has_parent_path() || file == "." || file == "..") {
    throw Error(ErrorCode::kFormat, "`file` must be a name in the card's own folder");
  }
  card.file = folder / file;
  card.installed = fs::exists(card.file);
  return card;
}

json card_to_json(const ModelCard& card) {
  return {{"format_version", kCardVersion},
          {"title", card.title},
          {"source", card.source},
          {"sha256", card.sha256},
          {"bytes", card.bytes},
          {"licence", card.licence},
          {"preprocess", to_json(card.preprocess)},
          {"layer", card.layer},
          {"file", card.file.filename().string()}};
}

ModelCard read_card(const fs::path& folder) {
  const fs::path file = folder / kCardFile;
  try {
    return card_from_json(json::parse(read_file(file)), folder);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kFormat, file.string() + " is damaged: " + error.what());
  } catch (const Error& error) {
    throw Error(error.code(), file.string() + ": " + error.what());
  }
}

std::vector<fs::path> added_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(models_home(), error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().front() != '.' && fs::exists(it->path() / kCardFile)) {
      folders.push_back(it->path());
    }
  }
  std::ranges::sort(folders);
  return folders;
}

std::uint64_t bytes_below(const fs::path& path) {
  if (!fs::is_directory(path)) return fs::file_size(path);
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

// What an add that was killed left behind. One that is at work takes seconds, not a day.
void remove_abandoned(const fs::path& home) {
  const auto yesterday = fs::file_time_type::clock::now() - std::chrono::hours(24);
  std::vector<fs::path> abandoned;
  std::error_code error;
  for (fs::directory_iterator it(home, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code unknown;
    const auto changed = it->last_write_time(unknown);
    if (name.starts_with('.') && name.ends_with(kStaging) && !unknown && changed < yesterday)
      abandoned.push_back(it->path());
  }
  for (const fs::path& folder : abandoned) fs::remove_all(folder, error);
}

// Copies the network's files; returns the one that is opened.
fs::path copy_network(const fs::path& file, NetworkFormat format, const fs::path& folder) {
  // Its own name, also where it is a link to a file without an ending, as in download caches.
  const fs::path whole = fs::absolute(file).lexically_normal();
  const fs::path name = whole.has_filename() ? whole.filename() : whole.parent_path().filename();
  if (format == NetworkFormat::kSavedModel) {
    fs::copy(file, folder / name, fs::copy_options::recursive);
    return folder / name;
  }
  fs::copy_file(file, folder / name);
  if (format == NetworkFormat::kIr) {
    fs::path weights = file;
    weights.replace_extension(".bin");
    if (!fs::exists(weights))
      throw Error(ErrorCode::kNotFound, "there is no " + weights.string() + " beside " + file.string());
    fs::copy_file(weights, folder / fs::path(name).replace_extension(".bin"));
  }
  if (format == NetworkFormat::kOnnx) {
    const fs::path from = file.has_parent_path() ? file.parent_path() : fs::path(".");
    for (const fs::path& data : external_files(*load_onnx(file), from)) {
      const fs::path to = folder / data.lexically_relative(fs::canonical(from));
      fs::create_directories(to.parent_path());
      fs::copy_file(data, to);
    }
  }
  if (fs::exists(folder / kCardFile)) {
    throw Error(ErrorCode::kUsage, file.string() + " keeps its weights in " + std::string(kCardFile) +
                                       ", which is the name of the registry's own file: rename it");
  }
  return folder / name;
}

// Cuts the network as it will be cut when it runs, so that one that cannot run is not added. Returns the
// preprocessing with the input size that it resolves to.
PreprocessSpec tried(const fs::path& file, NetworkFormat format, PreprocessSpec spec,
                     const std::string& layer) {
  ov::Core core;
  const std::shared_ptr<ov::Model> model = read_network(core, file, format, layer);
  try {
    const CutNetwork cut = cut_network(model, cut_options(format, spec, layer), spec);
    spec.width = cut.width;
    spec.height = cut.height;
  } catch (const Error& error) {
    throw Error(error.code(), file.string() + ": " + error.what());
  }
  spec.sized = true;
  return spec;
}

}  // namespace

std::vector<ModelCard> list_models() {
  std::vector<ModelCard> cards = built_in_cards(models_home());
  for (const fs::path& folder : added_folders()) {
    try {
      cards.push_back(read_card(folder));
    } catch (const Error&) {
      // One damaged card must not hide the others; find_model() says what is wrong with it.
    }
  }
  return cards;
}

ModelCard find_model(const std::string& name) {
  for (ModelCard& card : built_in_cards(models_home())) {
    if (card.name == name) return card;
  }
  for (const fs::path& folder : added_folders()) {
    if (folder.filename() == name) return read_card(folder);
  }
  std::string names;
  for (const ModelCard& card : list_models()) names += (names.empty() ? "" : ", ") + card.name;
  throw Error(ErrorCode::kNotFound,
              "there is no network named `" + name + "`: there are " + names +
                  "; or give the path of an .onnx, .xml or .tflite file or a SavedModel folder");
}

ModelCard add_model(const std::string& name, const fs::path& file, const PreprocessSpec& preprocess,
                    const std::string& layer, const std::string& licence) {
  check_name(name);
  for (const ModelCard& card : list_models()) {
    if (card.name == name) throw Error(ErrorCode::kExists, "there is a network named `" + name + "` already");
  }
  const fs::path home = models_home();
  if (fs::exists(home / name)) {
    throw Error(ErrorCode::kExists,
                (home / name).string() + " is there already: remove it or choose another name");
  }
  const NetworkFormat format = network_format(file);
  const fs::path staging = home / ("." + name + std::string(kStaging));
  remove_abandoned(home);
  try {
    fs::remove_all(staging);
    fs::create_directories(staging);
    ModelCard card;
    card.name = name;
    card.title = name;
    card.file = copy_network(file, format, staging);
    card.source = "added from " + fs::absolute(file).lexically_normal().string();
    card.sha256 = network_sha256(card.file);
    for (const fs::path& part : network_files(card.file)) card.bytes += bytes_below(part);
    card.licence = licence;
    card.preprocess = tried(file, format, preprocess, layer);
    card.layer = layer;
    write_file_atomically(staging / kCardFile, card_to_json(card).dump(2) + "\n");
    fs::rename(staging, home / name);
    return read_card(home / name);
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(staging, ignored);
    throw Error(ErrorCode::kIo,
                "cannot add " + file.string() + " to " + home.string() + ": " + error.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(staging, ignored);
    throw;
  }
}

}  // namespace pomona
