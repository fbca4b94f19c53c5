// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>

#include "pomona/base/hash.h"
#include "pomona/base/text.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {

Format parse_format(std::string_view name) {
  if (name == "parquet") return Format::kParquet;
  if (name == "csv") return Format::kCsv;
  throw Error(ErrorCode::kUsage,
              "'" + escape_path(name) + "' is no format of a dataset: choose parquet or csv");
}

std::string_view to_string(Format format) {
  return format == Format::kCsv ? "csv" : "parquet";
}

std::string part_name(std::uint64_t index, const std::string& run_id, Format format) {
  return fmt::format("part-{:05}-{}{}", index, run_id, format == Format::kCsv ? ".csv" : ".snappy.parquet");
}

std::string rejects_name(std::uint64_t index, const std::string& run_id) {
  return fmt::format("{}/part-{:05}-{}.snappy.parquet", kRejects, index, run_id);
}

std::string run_folder(const std::string& run_id) {
  return fmt::format("{}/{}", kTemporary, run_id);
}

std::string record_name(std::uint64_t index, const std::string& run_id) {
  return fmt::format("{}/part-{:05}.json", run_folder(run_id), index);
}

bool is_run_id(std::string_view text) {
  return text.size() == 16 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_part_name(std::string_view name) {
  if (!name.starts_with("part-")) return false;
  name.remove_prefix(5);
  const auto dash = name.find('-');
  if (dash == std::string_view::npos || dash < 5) return false;
  if (name.substr(0, dash).find_first_not_of("0123456789") != std::string_view::npos) return false;
  name.remove_prefix(dash + 1);
  if (!is_run_id(name.substr(0, 16))) return false;
  return name.substr(16) == ".snappy.parquet" || name.substr(16) == ".csv";
}

std::string new_run_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

namespace {

// Our own records come back from a store, hence from outside.
template <typename T>
T field(const nlohmann::json& json, const char* name) {
  try {
    if constexpr (std::is_unsigned_v<T>) {
      if (!json.at(name).is_number_unsigned()) throw Error(ErrorCode::kFormat, "not a count");
    }
    return json.at(name).get<T>();
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kFormat,
                std::string("a part's record has no usable '") + name + "': " + error.what());
  }
}

}  // namespace

std::string rows_digest(const nlohmann::json& run) {
  const auto parts = run.is_object() ? run.find("parts") : run.end();
  if (!run.is_object() || parts == run.end() || !parts->is_array() || parts->empty()) return "";
  std::string sums;
  for (const nlohmann::json& part : *parts) {
    const auto sum = part.is_object() ? part.find("sha256") : part.end();
    if (!part.is_object() || sum == part.end() || !sum->is_string()) return "";
    sums += sum->get<std::string>() + "\n";
  }
  return sha256_hex(sums);
}

nlohmann::json to_json(const PartRecord& record) {
  return {{"file", record.file},         {"rejects_file", record.rejects_file},
          {"index", record.index},       {"rows", record.rows},
          {"rejected", record.rejected}, {"bytes", record.bytes},
          {"sha256", record.sha256},     {"extra", record.extra}};
}

PartRecord part_from_json(const nlohmann::json& json) {
  if (!json.is_object()) throw Error(ErrorCode::kFormat, "a part's record is not a JSON object");
  PartRecord record;
  record.file = field<std::string>(json, "file");
  record.rejects_file = field<std::string>(json, "rejects_file");
  record.index = field<std::uint64_t>(json, "index");
  record.rows = field<std::uint64_t>(json, "rows");
  record.rejected = field<std::uint64_t>(json, "rejected");
  record.bytes = field<std::uint64_t>(json, "bytes");
  record.sha256 = field<std::string>(json, "sha256");
  if (json.contains("extra")) record.extra = json["extra"];
  const auto in_rejects = [](const std::string& name) {
    return name.starts_with(fmt::format("{}/", kRejects)) &&
           is_part_name(std::string_view(name).substr(kRejects.size() + 1));
  };
  if ((!record.file.empty() && !is_part_name(record.file)) ||
      (!record.rejects_file.empty() && !in_rejects(record.rejects_file))) {
    throw Error(ErrorCode::kFormat, "a part's record names a file that is none of a dataset's parts: " +
                                        escape_path(record.file + " " + record.rejects_file));
  }
  return record;
}

}  // namespace pomona
