// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/compiled_cache.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>
#include <spanstream>
#include <sstream>
#include <vector>

#include <openvino/core/version.hpp>
#include <openvino/runtime/core.hpp>

#include "pomona/base/cpu.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "POMONET1";
constexpr const char* kExtension = ".pomonet";
constexpr std::size_t kMostKept = 12;

fs::path file_of(const std::string& key) {
  return cache_home() / "compiled" / (key + kExtension);
}

std::string checksum(std::string_view bytes) {
  const ContentHash hash = content_hash(std::as_bytes(std::span(bytes)));
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

void drop_old(const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == kExtension) files.emplace_back(it->last_write_time(error), it->path());
  }
  std::ranges::sort(files, std::greater<>());
  for (std::size_t i = kMostKept; i < files.size(); ++i) fs::remove(files[i].second, error);
}

}  // namespace

std::string compiled_key(nlohmann::json what) {
  const ov::Version version = ov::get_openvino_version();
  what["openvino"] = version.buildNumber;
  what["cpu"] = cpu_features().name;
  return sha256_hex(what.dump());
}

// magic, checksum of the rest (16), length of the note (8), note, OpenVINO's blob
std::optional<CachedNetwork> load_compiled(ov::Core& core, const std::string& key, const ov::AnyMap& config) {
  const fs::path file = file_of(key);
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  try {
    std::string bytes = read_file(file);
    const std::size_t head = kMagic.size() + sizeof(ContentHash);
    std::uint64_t length = 0;
    if (bytes.size() < head + sizeof length || !bytes.starts_with(kMagic)) return std::nullopt;
    const std::string_view rest = std::string_view(bytes).substr(head);
    if (checksum(rest) != std::string_view(bytes).substr(kMagic.size(), sizeof(ContentHash)))
      return std::nullopt;
    std::memcpy(&length, rest.data(), sizeof length);
    if (length > rest.size() - sizeof length) return std::nullopt;
    CachedNetwork network;
    network.note = nlohmann::json::parse(rest.substr(sizeof length, length));
    const std::size_t blob = head + sizeof length + length;
    std::ispanstream stream(std::span<char>(bytes.data() + blob, bytes.size() - blob));
    network.compiled = core.import_model(stream, "CPU", config);
    return network;
  } catch (const std::exception&) {
    // It can be made again.
    return std::nullopt;
  }
}

void save_compiled(const std::string& key, const ov::CompiledModel& compiled, const nlohmann::json& note) {
  try {
    std::ostringstream blob;
    // Exporting does not change what the network computes; OpenVINO only forgot the const.
    ov::CompiledModel(compiled).export_model(blob);
    const std::string text = note.dump();
    const std::uint64_t length = text.size();
    std::string rest(reinterpret_cast<const char*>(&length), sizeof length);
    rest += text;
    rest += blob.view();
    write_file_atomically(file_of(key), std::string(kMagic) + checksum(rest) + rest);
    drop_old(file_of(key).parent_path());
  } catch (const std::exception&) {
    // The cache only saves time.
    return;
  }
}

}  // namespace pomona
