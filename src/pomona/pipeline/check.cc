// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/check.h"

#include <cmath>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/model/fingerprint.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/store.h"

namespace pomona {
namespace {

void check_part(const Store& dest, const Schema& schema, const PartRecord& part, DatasetCheck& result) {
  if (part.file.empty()) return;
  if (!dest.exists(part.file)) {
    result.damage.push_back(part.file + " is missing");
    return;
  }
  try {
    if (!part.sha256.empty() && sha256_hex(dest.read(part.file)) != part.sha256) {
      result.damage.push_back(part.file + " has changed since it was written (its SHA-256 differs)");
      return;
    }
    std::uint64_t rows = 0;
    bool finite = true;
    DatasetReader::open_parts(dest, schema, {part}).read_part(0, true, [&](Block&& block) {
      rows += block.rows.size();
      for (const float value : block.vectors) finite = finite && std::isfinite(value);
      return true;
    });
    if (rows != part.rows) {
      result.damage.push_back(part.file + " holds " + std::to_string(rows) + " rows, not the " +
                              std::to_string(part.rows) + " recorded");
    }
    if (!finite) result.damage.push_back(part.file + " holds numbers that are not finite");
  } catch (const Error& error) {
    result.damage.push_back(part.file + " cannot be read: " + error.what());
  }
}

DatasetCheck check_one(const Store& dest, const Hooks& hooks) {
  DatasetCheck result;
  result.place = dest.uri();
  const DatasetState state = dataset_state(dest);
  result.state = state == DatasetState::kFinished ? "finished" : "unfinished";
  std::vector<PartRecord> parts;
  Schema schema;
  if (state == DatasetState::kFinished) {
    const DatasetReader reader = DatasetReader::open(dest);
    schema = reader.schema();
    parts = reader.parts();
    const nlohmann::json& run = reader.run();
    if (run.is_object()) {
      result.kind = run.value("kind", "");
      if (run.contains("fingerprint") && run["fingerprint"].is_object()) {
        const Fingerprint fingerprint = fingerprint_from_json(run["fingerprint"]);
        result.precision = fingerprint.precision;
        result.identity_hash = fingerprint.identity_hash();
      }
    } else {
      result.damage.push_back("_run.json is missing: what made the parts is not known");
    }
    result.d = schema.d;
  } else if (const auto unfinished = find_unfinished(dest)) {
    parts = unfinished->parts;
    result.kind = unfinished->header.value("kind", "");
  }
  std::uint64_t done = 0;
  for (const PartRecord& part : parts) {
    if (!part.file.empty()) ++result.parts;
    result.bytes += part.bytes;
    result.rows += part.rows;
    result.rejected += part.rejected;
    if (state == DatasetState::kFinished) check_part(dest, schema, part, result);
    if (hooks.progress) {
      Progress progress;
      progress.unit = "parts";
      progress.done = ++done;
      progress.total = parts.size();
      hooks.progress(progress);
    }
  }
  return result;
}

bool is_dataset(const Store& place) {
  const DatasetState state = dataset_state(place);
  return state == DatasetState::kFinished || state == DatasetState::kUnfinished;
}

}  // namespace

std::vector<DatasetCheck> check_datasets(const std::string& dest, const Hooks& hooks) {
  const Store place = Store::open(dest);
  std::vector<DatasetCheck> checks;
  if (is_dataset(place)) {
    checks.push_back(check_one(place, hooks));
  } else {
    for (const char* name : {"features", "reduced"}) {
      const Store below = place.at(name);
      if (is_dataset(below)) checks.push_back(check_one(below, hooks));
    }
  }
  if (checks.empty()) {
    throw Error(ErrorCode::kNotFound,
                "there is no dataset at " + place.uri() + ", and none in its features/ or reduced/");
  }
  return checks;
}

nlohmann::json to_json(const DatasetCheck& check) {
  return {{"place", check.place},         {"state", check.state},
          {"kind", check.kind},           {"parts", check.parts},
          {"bytes", check.bytes},         {"rows", check.rows},
          {"rejected", check.rejected},   {"d", check.d},
          {"precision", check.precision}, {"identity", check.identity_hash},
          {"damage", check.damage},       {"sound", check.sound()}};
}

}  // namespace pomona
