// SPDX-License-Identifier: Apache-2.0
#include "pomona/edge/export_web.h"

#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <future>
#include <nlohmann/json.hpp>
#include <regex>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/json_text.h"
#include "pomona/base/paths.h"
#include "pomona/edge/pack.h"
#include "pomona/edge/page_files.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/model/preprocess.h"
#include "pomona/modelfile/model_file.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kCpu = "runtime/ort-cpu.wasm";
constexpr const char* kWebGpu = "runtime/ort-webgpu.wasm";
constexpr const char* kNetwork = "model.onnx";
constexpr const char* kManifest = "model.json";

struct Written {
  std::uint64_t plain = 0;
  std::uint64_t gzip = 0;
  std::uint64_t brotli = 0;
};

// A file and, where that makes it smaller, its .gz and .br. `brotli` may have been made before.
Written write_packed(const fs::path& file, std::string_view bytes, std::string_view brotli) {
  write_file_atomically(file, bytes);
  Written written{bytes.size(), bytes.size(), bytes.size()};
  const auto beside = [&](const char* ending, std::string_view packed, std::uint64_t& size) {
    if (packed.size() >= bytes.size()) return;
    fs::path name = file;
    name += ending;
    write_file_atomically(name, packed);
    size = packed.size();
  };
  beside(".gz", gzip_packed(bytes), written.gzip);
  const std::string made = brotli.empty() ? brotli_packed(bytes) : std::string();
  beside(".br", brotli.empty() ? std::string_view(made) : brotli, written.brotli);
  return written;
}

// What the browser gets: the network and its heads, without the record of how they were made.
std::string network_bytes(const fs::path& model, WeightStorage weights, std::string& input,
                          bool& channels_last) {
  const OnnxModel loaded = load_onnx(model);
  onnx::ModelProto& proto = *loaded;
  proto.clear_metadata_props();
  proto.clear_doc_string();
  for (auto& node : *proto.mutable_graph()->mutable_node()) node.clear_doc_string();
  const auto& value = proto.graph().input(0);
  input = value.name();
  const auto& shape = value.type().tensor_type().shape();
  channels_last = shape.dim_size() == 4 && shape.dim(3).dim_value() == 3 && shape.dim(1).dim_value() != 3;
  store_weights(proto, weights);
  check_onnx(proto, {});
  return serialize_onnx(proto);
}

void check_origin(const std::string& server) {
  static const std::regex origin(R"(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?)");
  if (!server.empty() && !std::regex_match(server, origin)) {
    throw Error(ErrorCode::kUsage,
                "'" + server + "' is no origin of a server; it looks like https://fruit.example.org");
  }
}

std::string catalogue_text(const fs::path& file) {
  if (file.empty()) return std::string(find_page_file("catalogue.json")->body);
  std::string text = read_file(file);
  const json parsed = parse_json(text);
  if (!parsed.is_object() || !parsed.contains("classes")) {
    throw Error(ErrorCode::kUsage,
                file.string() + " is no catalogue: it is not a JSON object with \"classes\"");
  }
  return text;
}

json file_record(const std::string& name, const Written& written, std::string_view bytes) {
  return {{"name", name},
          {"bytes", written.plain},
          {"gzip", written.gzip},
          {"brotli", written.brotli},
          {"sha256", sha256_hex(bytes)}};
}

json manifest_of(const ModelFile& model, const EdgeOptions& options) {
  json targets = json::array();
  for (std::size_t i = 0; i < model.targets.size(); ++i) {
    const Target& target = model.targets[i];
    targets.push_back({{"name", target.name},
                       {"labels", target.classifier.labels},
                       {"probabilities", i == 0 ? "probabilities" : "probabilities_" + target.name},
                       {"confident_threshold", target.confident_threshold}});
  }
  json manifest = {{"version", 1},
                   {"name", model.name.empty() ? "model" : model.name},
                   {"weights", to_string(options.weights)},
                   {"fingerprint", to_json(model.backbone.fingerprint)},
                   {"preprocess", to_json(model.backbone.preprocess)},
                   {"targets", targets},
                   {"reduced", model.pca ? model.pca->k() : 0}};
  manifest["preprocess"]["bgr"] = model.backbone.preprocess.bgr;
  if (model.unknown) manifest["unknown"] = {{"threshold", model.unknown->threshold}};
  if (!options.server.empty()) {
    manifest["server"] = options.server.ends_with('/') ? options.server : options.server + "/";
    if (!options.server_model.empty()) manifest["server_model"] = options.server_model;
  }
  return manifest;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos)
    throw Error(ErrorCode::kInternal, "the page has no place for " + std::string(from));
  return text.replace(at, from.size(), to);
}

// The page in edge mode: small files as they are, but for what this export makes of them.
void write_page(const fs::path& folder, const EdgeOptions& options, const std::string& manifest,
                EdgeExport& result) {
  const std::string catalogue = catalogue_text(options.catalogue);
  for (const PageFile& file : page_files()) {
    if (file.body.empty()) continue;
    const bool optional = file.name.find("webgpu") != std::string_view::npos;
    if (optional && !options.webgpu) continue;
    std::string changed;
    if (file.name == "config.json") {
      changed = R"({"mode":"edge","contributions":false,"similar":false,"retention_days":0})"
                "\n";
    } else if (file.name == "catalogue.json") {
      changed = catalogue;
    } else if (file.name == "index.html" && !options.server.empty()) {
      std::string origin = options.server;
      if (origin.ends_with('/')) origin.pop_back();
      changed = replaced(std::string(file.body), "connect-src 'self'", "connect-src 'self' " + origin);
    } else if (file.name == "sw.js") {
      // Another export makes another service worker, which then fetches the page's files anew.
      changed = std::string(file.body) + "\n// " + sha256_hex(manifest + catalogue).substr(0, 16) + "\n";
    }
    const std::string_view bytes = changed.empty() ? file.body : std::string_view(changed);
    const Written written =
        write_packed(folder / file.name, bytes, changed.empty() ? file.brotli : std::string_view());
    ++result.files;
    (optional ? result.webgpu_brotli : result.wire_brotli) += written.brotli;
    if (!optional)
      result.wire_gzip += written.plain;  // small files go as they are where a server cannot pack
  }
}

EdgeExport write_all(const fs::path& model_file, const fs::path& folder, const EdgeOptions& options) {
  const ModelFile model = read_model_file(model_file);
  json manifest = manifest_of(model, options);
  EdgeExport result;
  result.components = model.pca ? model.pca->k() : 0;

  // The three large files are packed at the same time.
  const auto runtime = [&](const char* name) {
    return std::async(std::launch::async, [&folder, name] {
      const PageFile* file = find_page_file(name);
      const std::string bytes = brotli_unpacked(file->brotli, file->size);
      return std::pair(write_packed(folder / name, bytes, file->brotli), file_record(name, {}, bytes));
    });
  };
  auto cpu = runtime(kCpu);
  std::future<std::pair<Written, json>> gpu;
  if (options.webgpu) gpu = runtime(kWebGpu);
  std::string input;
  bool channels_last = false;
  const std::string network = network_bytes(model_file, options.weights, input, channels_last);
  const Written written = write_packed(folder / kNetwork, network, {});
  manifest["model"] = file_record(kNetwork, written, network);
  manifest["input"] = {{"name", input}, {"channels_last", channels_last}};
  const auto take = [&](std::future<std::pair<Written, json>>& made, const char* key) {
    auto [sizes, record] = made.get();
    record.update({{"bytes", sizes.plain}, {"gzip", sizes.gzip}, {"brotli", sizes.brotli}});
    manifest[key] = record;
    ++result.files;
    return sizes;
  };
  const Written cpu_sizes = take(cpu, "runtime");
  if (options.webgpu) result.webgpu_brotli = take(gpu, "webgpu").brotli;
  result.network_bytes = written.plain;
  result.wire_brotli = cpu_sizes.brotli + written.brotli;
  result.wire_gzip = cpu_sizes.gzip + written.gzip;

  const std::string text = manifest.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  const Written described = write_packed(folder / kManifest, text, {});
  result.wire_brotli += described.brotli;
  result.wire_gzip += described.plain;
  result.files += 2;
  write_page(folder, options, text, result);
  return result;
}

// Where `dest` is there already: throws, or says that it may be replaced.
bool stands_in_the_way(const fs::path& dest, bool overwrite) {
  std::error_code error;
  if (!fs::exists(dest, error)) return false;
  if (!fs::is_directory(dest, error))
    throw Error(ErrorCode::kExists, dest.string() + " is a file, not a folder");
  if (fs::is_empty(dest, error)) return true;
  const bool ours = fs::exists(dest / kManifest, error) && fs::exists(dest / "index.html", error);
  if (ours && overwrite) return true;
  throw Error(ErrorCode::kExists,
              dest.string() + (ours ? " holds an export already; --overwrite replaces it"
                                    : " is there and holds something else; name another folder"));
}

}  // namespace

EdgeExport export_web(const fs::path& model, const fs::path& dest, const EdgeOptions& options) {
  check_origin(options.server);
  const bool replace = stands_in_the_way(dest, options.overwrite);
  const fs::path whole = fs::absolute(dest).lexically_normal();
  const fs::path parent = whole.has_filename() ? whole.parent_path() : whole.parent_path().parent_path();
  const std::string name = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  const std::string mark = "." + name + "-" + std::to_string(::getpid());
  const fs::path fresh = parent / (mark + ".new");
  const fs::path old = parent / (mark + ".old");
  try {
    const EdgeExport result = write_all(model, fresh, options);
    if (replace) fs::rename(parent / name, old);
    fs::rename(fresh, parent / name);
    fs::remove_all(old);
    return result;
  } catch (const fs::filesystem_error& failure) {
    std::error_code ignored;
    if (fs::exists(old, ignored) && !fs::exists(parent / name, ignored))
      fs::rename(old, parent / name, ignored);
    fs::remove_all(fresh, ignored);
    throw Error(ErrorCode::kIo, "cannot write " + dest.string() + ": " + failure.code().message());
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    throw;
  }
}

}  // namespace pomona
