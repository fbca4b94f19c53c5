// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/check.h"

#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>

#include <cmath>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/json_text.h"
#include "pomona/base/text.h"
#include "pomona/model/fingerprint.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/store.h"

namespace pomona {
namespace {

// What a part was found to hold.
struct Held {
  std::uint64_t rows = 0;
  bool finite = true;
};

Held vectors_of(const Store& dest, const Schema& schema, const PartRecord& part) {
  Held held;
  DatasetReader::open_parts(dest, schema, {part}).read_part(0, true, [&](Block&& block) {
    held.rows += block.rows.size();
    for (const float value : block.vectors) held.finite = held.finite && std::isfinite(value);
    return true;
  });
  return held;
}

// Answers of `pomona predict`: a table without vectors.
Held answers_of(const Store& dest, const PartRecord& part) {
  const std::string what = "cannot read " + part.file;
  const auto reader =
      take(parquet::arrow::OpenFile(dest.open_file(part.file), arrow::default_memory_pool()), what);
  const auto batches = take(reader->GetRecordBatchReader(), what);
  for (const char* column : {"path", "label", "probability"}) {
    if (batches->schema()->GetFieldIndex(column) < 0)
      throw Error(ErrorCode::kFormat, std::string("it has no column '") + column + "'");
  }
  Held held;
  std::shared_ptr<arrow::RecordBatch> batch;
  for (check(batches->ReadNext(&batch), what); batch; check(batches->ReadNext(&batch), what)) {
    check(batch->ValidateFull(), what);
    held.rows += static_cast<std::uint64_t>(batch->num_rows());
  }
  return held;
}

// `read` reads the part to its end.
template <typename Read>
void check_part(const Store& dest, const PartRecord& part, const Read& read, DatasetCheck& result) {
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
    const Held held = read(part);
    if (held.rows != part.rows) {
      result.damage.push_back(part.file + " holds " + std::to_string(held.rows) + " rows, not the " +
                              std::to_string(part.rows) + " recorded");
    }
    if (!held.finite) result.damage.push_back(part.file + " holds numbers that are not finite");
  } catch (const Error& error) {
    result.damage.push_back(part.file + " cannot be read: " + error.what());
  }
}

// `_run.json` of a finished dataset of answers; null for any other.
nlohmann::json answers_record(const Store& dest, DatasetState state) {
  if (state != DatasetState::kFinished || !dest.exists("_run.json")) return {};
  nlohmann::json run = parse_json(dest.read("_run.json"));
  const auto kind = run.is_object() ? run.find("kind") : run.end();
  if (!run.is_object() || kind == run.end() || *kind != "predictions") return {};
  require_known_format(run, dest.uri());
  return run;
}

void take_record(const nlohmann::json& run, DatasetCheck& result) {
  const auto text = [](const nlohmann::json& value) {
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  if (run.contains("kind")) result.kind = text(run["kind"]);
  if (run.contains("fingerprint") && run["fingerprint"].is_object()) {
    const Fingerprint fingerprint = fingerprint_from_json(run["fingerprint"]);
    result.precision = fingerprint.precision;
    result.identity_hash = fingerprint.identity_hash();
  }
}

DatasetCheck check_one(const Store& dest, const Hooks& hooks) {
  DatasetCheck result;
  result.place = dest.uri();
  const DatasetState state = dataset_state(dest);
  result.state = state == DatasetState::kFinished ? "finished" : "unfinished";
  std::vector<PartRecord> parts;
  Schema schema;
  const nlohmann::json answers = answers_record(dest, state);
  if (answers.is_object()) {
    take_record(answers, result);
    if (!answers.contains("parts") || !answers["parts"].is_array())
      throw Error(ErrorCode::kFormat, dest.uri() + "/_run.json lists no parts");
    for (const nlohmann::json& part : answers["parts"]) parts.push_back(part_from_json(part));
    // Rejected photos are rows of the table.
    const auto rejected = nlohmann::json::json_pointer("/counts/rejected");
    if (answers.contains(rejected) && answers[rejected].is_number_unsigned())
      result.rejected = answers[rejected].get<std::uint64_t>();
  } else if (state == DatasetState::kFinished) {
    const DatasetReader reader = DatasetReader::open(dest);
    schema = reader.schema();
    parts = reader.parts();
    const nlohmann::json& run = reader.run();
    if (run.is_object()) {
      take_record(run, result);
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
    if (state == DatasetState::kFinished) {
      const auto read = [&](const PartRecord& one) {
        return answers.is_object() ? answers_of(dest, one) : vectors_of(dest, schema, one);
      };
      check_part(dest, part, read, result);
    }
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
  return {{"place", escape_path(check.place)},
          {"state", check.state},
          {"kind", check.kind},
          {"parts", check.parts},
          {"bytes", check.bytes},
          {"rows", check.rows},
          {"rejected", check.rejected},
          {"d", check.d},
          {"precision", check.precision},
          {"identity", check.identity_hash},
          {"damage", check.damage},
          {"sound", check.sound()}};
}

}  // namespace pomona
