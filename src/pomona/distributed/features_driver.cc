// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/features_driver.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/hold_place.h"

namespace pomona::distributed {
namespace {

using nlohmann::json;

// Parts that tasks finished and nobody published: their driver died.
std::uint64_t adopt(const Store& dest, ResumePlan& plan) {
  const std::string folder = "_temporary/" + plan.run_id + "/done";
  std::set<std::uint64_t> there;  // what the run that goes on has published
  std::set<std::string> older;
  if (plan.old_run.is_object()) {
    for (const json& part : plan.old_run.value("parts", json::array())) {
      older.insert(part.value("file", ""));
      older.insert(part.value("rejects_file", ""));
    }
  }
  for (const PartRecord& part : plan.parts) {
    if (!older.contains(part.file) || !older.contains(part.rejects_file)) there.insert(part.index);
  }
  std::uint64_t adopted = 0;
  for (const std::string& name : dest.list(folder)) {
    const json announced = parse_json(dest.read(folder + "/" + name));
    if (!announced.is_object()) continue;
    try {
      const PartRecord record = part_from_json(announced.at("record"));
      const auto staged = announced.at("staged").get<std::string>();
      if (there.contains(record.index)) continue;
      const auto stands = [&](const std::string& file, std::int64_t bytes) {
        if (file.empty()) return true;
        const std::int64_t size = std::max(dest.size(staged + "/" + file), dest.size(file));
        return bytes < 0 ? size >= 0 : size == bytes;
      };
      if (!stands(record.file, static_cast<std::int64_t>(record.bytes)) || !stands(record.rejects_file, -1))
        continue;
      publish_staged(dest, staged, plan.run_id, record);
      there.insert(record.index);
      plan.parts.push_back(record);
      ++adopted;
    } catch (const json::exception&) {
      // No record of ours: the part is made again.
    }
  }
  return adopted;
}

}  // namespace

json begin_features(const Job& job, const json& facts) {
  const Store dest = Store::open(job.features);
  json header = facts.at("header");
  Schema schema = schema_from_json(facts.at("schema"));
  const auto& listing = job.featurize.listing;
  if (listing.paths_from && listing.paths_from != "-" && !is_remote_uri(*listing.paths_from)) {
    // No executor can look into a list that lies here.
    schema.splits = RowDescriber({}, "none").wants_splits(list_head(listing));
  }
  // Whether there is a `split` column was decided when the dataset was begun.
  json asked = header;
  asked.erase("splits");
  const auto held = hold_place(dest);
  ResumePlan plan = plan_resume(dest, asked, job.featurize.resume, job.featurize.overwrite);
  if (plan.header.is_object()) schema.splits = plan.header.value("splits", schema.splits);
  header["splits"] = schema.splits;
  begin_run(dest, plan.run_id, header);
  const std::uint64_t adopted = job.featurize.resume ? adopt(dest, plan) : 0;
  json known = json::array();
  for (const PartRecord& part : plan.parts) known.push_back(to_json(part));
  if (!known.empty()) dest.write("_temporary/" + plan.run_id + "/plan.json", known.dump());
  return {{"place", dest.uri()}, {"run_id", plan.run_id},     {"file_id", plan.file_id},
          {"header", header},    {"schema", to_json(schema)}, {"known", plan.parts.size()},
          {"adopted", adopted}};
}

void publish(const std::string& place, const std::string& run_id, const json& staged) {
  const Store dest = Store::open(place);
  const PartRecord part = part_from_json(staged.at("record"));
  publish_staged(dest, staged.at("staged").get<std::string>(), run_id, part);
  require_running(dest, run_id, &part);
}

json finish_features(const Job& job, const json& what) {
  const Store dest = Store::open(job.features);
  FeaturizeResult result;
  std::vector<PartRecord> parts;
  bool late_split = false;
  bool labelled = false;
  std::string first_path;
  double first_vector = -1;
  for (const json& one : what.at("results")) {
    const PartRecord part = part_from_json(one.at("record"));
    result.written += part.rows;
    result.rejected += part.rejected;
    result.listed += part.extra.value("count", std::uint64_t{0});
    result.computed += one.at("computed").get<std::uint64_t>();
    result.identical += one.at("identical").get<std::uint64_t>();
    result.reused += one.at("reused").get<std::uint64_t>();
    for (const auto& [key, count] : one.at("reasons").items()) {
      const auto colon = key.find(": ");
      count_reason(result.reject_reasons, key.substr(0, colon), key.substr(colon + 2),
                   count.get<std::uint64_t>());
    }
    for (const auto& [stage, seconds] : one.at("stages").items())
      result.stages[stage] += seconds.get<double>();
    labelled = labelled || one.at("labelled").get<bool>();
    if (part.index == 0) one.at("first_path").get_to(first_path);
    late_split = late_split || one.at("late_split").get<bool>();
    const double began = one.value("began", -1.0);
    const double vector = one.value("first_vector", -1.0);
    if (began >= 0 && vector >= 0 && (first_vector < 0 || began + vector < first_vector))
      first_vector = began + vector;
    parts.push_back(part);
  }
  if (result.listed != result.written + result.rejected) {
    throw Error(ErrorCode::kInternal, "listed " + std::to_string(result.listed) + " photos, but " +
                                          std::to_string(result.written) + " rows and " +
                                          std::to_string(result.rejected) + " rejects came out");
  }
  std::ranges::sort(parts, {}, &PartRecord::index);
  const json& facts = what.at("facts");
  result.schema = schema_from_json(what.at("schema"));
  result.fingerprint = fingerprint_from_json(facts.at("fingerprint"));
  result.seconds = what.at("seconds").get<double>();
  result.first_vector_seconds = std::max(0.0, first_vector);
  const json& record = what.at("record");
  json run = features_record(result, what.at("run_id").get<std::string>(),
                             record.at("model").get<std::string>(), record.at("network"),
                             facts.at("preprocess"), what.at("header"), job.featurize.invocation);
  run["machine"] = facts.at("machine");
  run["timeline"] = what.at("timeline");
  run["rate"] = what.at("rate");
  if (what.contains("more")) run.update(what.at("more"));
  const auto digest = [&] {
    return dest.exists("_run.json") ? rows_digest(parse_json(dest.read("_run.json"))) : std::string();
  };
  const std::string before = digest();
  finish_run(dest, std::move(run), parts);
  result.changed = before.empty() || before != digest();
  json warnings = json::array();
  if (late_split) warnings.push_back(late_split_warning(dest.uri()));
  const std::string& labels = job.featurize.labels;
  if (labels != "none" && labels != "folder" && !labelled)
    warnings.push_back(no_label_warning(labels, first_path));
  return {{"listed", result.listed},       {"written", result.written},
          {"rejected", result.rejected},   {"computed", result.computed},
          {"identical", result.identical}, {"reused", result.reused},
          {"changed", result.changed},     {"seconds", result.seconds},
          {"d", result.schema.d},          {"reject_reasons", result.reject_reasons},
          {"warnings", warnings}};
}

}  // namespace pomona::distributed
