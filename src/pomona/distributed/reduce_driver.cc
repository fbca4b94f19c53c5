// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/reduce_driver.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/hold_place.h"
#include "pomona/storage/uri_paths.h"

namespace pomona::distributed {

using nlohmann::json;

json begin_reduced(const Job& job) {
  const ReduceOptions& options = job.reduce.value();
  const Store source = Store::open(options.features);
  const DatasetReader features = DatasetReader::open(source);
  if (features.rows() == 0) throw Error(ErrorCode::kFormat, source.uri() + " has no rows to reduce");
  const Store dest = Store::open(options.dest);
  require_elsewhere(source, dest);
  const json header = {{"kind", "components"}};
  const auto held = hold_place(dest);
  const ResumePlan plan = plan_resume(dest, header, false, options.overwrite);
  begin_run(dest, plan.run_id, header);
  json parts = json::array();
  for (const PartRecord& part : features.parts()) parts.push_back(to_json(part));
  return {{"run_id", plan.run_id},
          {"schema", to_json(features.schema())},
          {"parts", parts},
          {"rows", features.rows()},
          {"d", features.schema().d},
          {"record", pca_record(features, source.uri())},
          {"fitted", uri_below(options.dest, "_temporary/" + plan.run_id + "/fitted.bin")},
          {"moments", features.schema().d <= widest_moments()}};
}

json place_pca(const Job& job, const std::string& run_id, const std::string& fitted) {
  const ReduceOptions& options = job.reduce.value();
  json warnings = json::array();
  Hooks hooks;
  hooks.warning = [&](const std::string& text) { warnings.push_back(text); };
  const Pca pca = options.pca ? saved_pca(DatasetReader::open(Store::open(options.features)), options, hooks)
                              : load_pca(fitted);
  Store::open(options.dest).write("_temporary/" + run_id + "/pca.bin", pca.serialize());
  return {{"k", pca.k()}, {"d", pca.d()}, {"explained", pca.explained()}, {"warnings", warnings}};
}

json finish_reduced_dataset(const Job& job, const json& what) {
  const ReduceOptions& options = job.reduce.value();
  const Store dest = Store::open(options.dest);
  const auto run_id = what.at("run_id").get<std::string>();
  const DatasetReader features = DatasetReader::open(Store::open(options.features));
  ReduceResult result;
  result.pca = Pca::deserialize(dest.read("_temporary/" + run_id + "/pca.bin"));
  result.rows = features.rows();
  result.d = features.schema().d;
  result.k = result.pca.k();
  result.explained = result.pca.explained();
  result.seconds = what.at("seconds").get<double>();
  what.at("stages").get_to(result.stages);
  std::vector<PartRecord> records;
  std::uint64_t rows = 0;
  for (const json& one : what.at("results")) {
    records.push_back(part_from_json(one.at("record")));
    rows += records.back().rows;
  }
  std::ranges::sort(records, {}, &PartRecord::index);
  if (rows != result.rows) {
    throw Error(ErrorCode::kInternal, "the features have " + std::to_string(result.rows) + " rows, but " +
                                          std::to_string(rows) + " came out");
  }
  finish_reduced(dest, result, features, options, run_id, records, what.value("more", json()));
  return {{"rows", result.rows},
          {"d", result.d},
          {"k", result.k},
          {"explained", result.explained},
          {"pca_file", result.pca_file}};
}

}  // namespace pomona::distributed
