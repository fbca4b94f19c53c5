// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/job.h"

#include <filesystem>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/storage/uri_paths.h"

namespace pomona::distributed {
namespace {

using nlohmann::json;

template <typename T>
void put(json& to, const char* key, const std::optional<T>& value) {
  if (value) to[key] = *value;
}

template <typename T>
void get(const json& from, const char* key, std::optional<T>& value) {
  if (from.contains(key)) value = from.at(key).get<T>();
}

std::string utf8(const std::string& place) {
  if (is_utf8(place)) return place;
  throw Error(ErrorCode::kUsage, escape_path(place) +
                                     " is not UTF-8. Photos below it may have any name, but a place given to "
                                     "a cluster must be UTF-8.");
}

// Machines do not share a working folder.
std::string absolute(const std::string& place) {
  return normalized_sources({place}).front();
}

json featurize_json(const FeaturizeOptions& options) {
  json sources = json::array();
  for (const std::string& source : options.listing.sources) sources.push_back(utf8(source));
  json out = {{"sources", sources},
              {"dest", utf8(options.dest)},
              {"network", to_json(options.network)},
              {"batch", options.network.batch},
              {"labels", utf8(options.labels)},
              {"format", to_string(options.format)},
              {"csv_packed", options.csv_packed},
              {"rows_per_file", options.rows_per_file},
              {"resume", options.resume},
              {"overwrite", options.overwrite},
              {"threads", options.threads},
              {"io_threads", options.io_threads},
              {"moments", options.moments},
              {"max_moments_d", options.max_moments_d},
              {"invocation", options.invocation}};
  put(out, "glob", options.listing.glob);
  put(out, "paths_from", options.listing.paths_from);
  put(out, "limit", options.listing.limit);
  put(out, "bytes_per_file", options.bytes_per_file);
  return out;
}

FeaturizeOptions featurize_from(const json& in) {
  FeaturizeOptions options;
  in.at("sources").get_to(options.listing.sources);
  get(in, "glob", options.listing.glob);
  get(in, "paths_from", options.listing.paths_from);
  get(in, "limit", options.listing.limit);
  in.at("dest").get_to(options.dest);
  options.network = network_options_from_json(in.at("network"));
  in.at("batch").get_to(options.network.batch);
  in.at("labels").get_to(options.labels);
  options.format = parse_format(in.at("format").get<std::string>());
  in.at("csv_packed").get_to(options.csv_packed);
  in.at("rows_per_file").get_to(options.rows_per_file);
  get(in, "bytes_per_file", options.bytes_per_file);
  in.at("resume").get_to(options.resume);
  in.at("overwrite").get_to(options.overwrite);
  in.at("threads").get_to(options.threads);
  in.at("io_threads").get_to(options.io_threads);
  in.at("moments").get_to(options.moments);
  in.at("max_moments_d").get_to(options.max_moments_d);
  options.invocation = in.at("invocation");
  return options;
}

json pca_json(const PcaOptions& options) {
  json out = {{"center", options.center}};
  put(out, "k", options.k);
  put(out, "variance", options.variance);
  return out;
}

PcaOptions pca_from(const json& in) {
  PcaOptions options;
  options.k.reset();
  options.variance.reset();
  in.at("center").get_to(options.center);
  get(in, "k", options.k);
  get(in, "variance", options.variance);
  return options;
}

json reduce_json(const ReduceOptions& options) {
  json out = {{"features", utf8(options.features)}, {"dest", utf8(options.dest)},
              {"fit", pca_json(options.fit)},       {"format", to_string(options.format)},
              {"csv_packed", options.csv_packed},   {"overwrite", options.overwrite},
              {"strict", options.strict},           {"threads", options.threads},
              {"invocation", options.invocation}};
  put(out, "pca", options.pca);
  put(out, "save_pca", options.save_pca);
  put(out, "csv", options.csv);
  return out;
}

ReduceOptions reduce_from(const json& in) {
  ReduceOptions options;
  in.at("features").get_to(options.features);
  in.at("dest").get_to(options.dest);
  get(in, "pca", options.pca);
  options.fit = pca_from(in.at("fit"));
  get(in, "save_pca", options.save_pca);
  options.format = parse_format(in.at("format").get<std::string>());
  in.at("csv_packed").get_to(options.csv_packed);
  get(in, "csv", options.csv);
  in.at("overwrite").get_to(options.overwrite);
  in.at("strict").get_to(options.strict);
  in.at("threads").get_to(options.threads);
  options.invocation = in.at("invocation");
  return options;
}

json training_json(const TrainingOptions& options) {
  json out = {{"labels", utf8(options.data.labels)},
              {"classifier", options.classifier},
              {"select", options.select},
              {"pca", pca_json(options.pca)},
              {"validation", options.validation},
              {"folds", options.folds},
              {"balanced", options.balanced},
              {"c", options.c},
              {"trees", options.trees},
              {"target_precision", options.target_precision},
              {"unknown_share", options.unknown_share},
              {"seed", options.seed},
              {"augment_variants", options.augment_variants}};
  if (!options.classifiers.empty()) out["classifiers"] = options.classifiers;
  put(out, "groups", options.data.groups);
  put(out, "augment", options.augment);
  if (options.on) out["on"] = *options.on == HeadInput::kComponents ? "components" : "features";
  return out;
}

TrainingOptions training_from(const json& in) {
  TrainingOptions options;
  in.at("labels").get_to(options.data.labels);
  get(in, "groups", options.data.groups);
  in.at("classifier").get_to(options.classifier);
  if (in.contains("classifiers")) in["classifiers"].get_to(options.classifiers);
  in.at("select").get_to(options.select);
  options.pca = pca_from(in.at("pca"));
  in.at("validation").get_to(options.validation);
  in.at("folds").get_to(options.folds);
  in.at("balanced").get_to(options.balanced);
  in.at("c").get_to(options.c);
  in.at("trees").get_to(options.trees);
  in.at("target_precision").get_to(options.target_precision);
  in.at("unknown_share").get_to(options.unknown_share);
  in.at("seed").get_to(options.seed);
  in.at("augment_variants").get_to(options.augment_variants);
  get(in, "augment", options.augment);
  if (in.contains("on"))
    options.on = in["on"] == "components" ? HeadInput::kComponents : HeadInput::kFeatures;
  return options;
}

}  // namespace

Job job_of(const FeaturizeOptions& options) {
  require_separate_sources(options.listing);
  Job job;
  job.kind = "featurize";
  job.featurize = options;
  job.featurize.listing.sources = normalized_sources(options.listing.sources);
  job.featurize.dest = absolute(options.dest);
  job.featurize.moments = false;
  job.features = job.featurize.dest;
  return job;
}

Job job_of(const RunOptions& options) {
  const std::string dest = absolute(options.dest);
  FeaturizeOptions featurize = options.featurize;
  featurize.dest = uri_below(dest, "features");
  Job job = job_of(featurize);
  job.kind = "run";
  job.results = dest;
  if (options.features_only) return job;
  job.fit = !options.saved_pca;
  job.featurize.moments = job.fit;
  job.reduce = reduce_options(options, dest);
  if (options.train || options.report) {
    job.conclude = options;
    job.conclude->dest = dest;
  }
  return job;
}

Job job_of(const ReduceOptions& options) {
  Job job;
  job.kind = "reduce";
  job.reduce = options;
  job.reduce->features = absolute(options.features);
  job.reduce->dest = absolute(options.dest);
  if (options.save_pca) job.reduce->save_pca = absolute(*options.save_pca);
  if (options.csv) job.reduce->csv = absolute(*options.csv);
  job.features = job.reduce->features;
  return job;
}

json to_json(const Job& job) {
  json out = {{"kind", job.kind}, {"features", utf8(job.features)}, {"fit", job.fit}};
  if (!job.results.empty()) out["results"] = utf8(job.results);
  if (job.kind != "reduce") out["featurize"] = featurize_json(job.featurize);
  if (job.reduce) out["reduce"] = reduce_json(*job.reduce);
  if (job.conclude) {
    out["conclude"] = {{"dest", utf8(job.conclude->dest)}, {"report", job.conclude->report}};
    if (job.conclude->prices.is_object()) out["conclude"]["prices"] = job.conclude->prices;
    if (job.conclude->train) out["conclude"]["train"] = training_json(*job.conclude->train);
  }
  return out;
}

Job job_from_json(const json& in) {
  try {
    Job job;
    in.at("kind").get_to(job.kind);
    in.at("features").get_to(job.features);
    in.at("fit").get_to(job.fit);
    job.results = in.value("results", "");
    if (in.contains("featurize")) job.featurize = featurize_from(in["featurize"]);
    if (in.contains("reduce")) job.reduce = reduce_from(in["reduce"]);
    if (in.contains("conclude")) {
      job.conclude.emplace();
      in["conclude"].at("dest").get_to(job.conclude->dest);
      in["conclude"].at("report").get_to(job.conclude->report);
      job.conclude->featurize = job.featurize;
      job.conclude->prices = in["conclude"].value("prices", json());
      if (in["conclude"].contains("train")) job.conclude->train = training_from(in["conclude"]["train"]);
    }
    return job;
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kFormat,
                std::string("this is no job of `pomona --engine spark`: ") + error.what());
  }
}

json to_json(const Schema& schema) {
  return {{"vector_column", schema.vector_column},
          {"d", schema.d},
          {"labels", schema.labels},
          {"splits", schema.splits},
          {"format", to_string(schema.format)},
          {"csv_packed", schema.csv_packed}};
}

Schema schema_from_json(const json& in) {
  try {
    Schema schema;
    in.at("vector_column").get_to(schema.vector_column);
    in.at("d").get_to(schema.d);
    in.at("labels").get_to(schema.labels);
    in.at("splits").get_to(schema.splits);
    schema.format = parse_format(in.at("format").get<std::string>());
    in.at("csv_packed").get_to(schema.csv_packed);
    return schema;
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kFormat, std::string("this is no schema of a dataset: ") + error.what());
  }
}

}  // namespace pomona::distributed
