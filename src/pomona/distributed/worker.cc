// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/worker.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/distributed/listing_chunk.h"
#include "pomona/distributed/listing_units.h"
#include "pomona/distributed/shipment.h"
#include "pomona/learn/moments.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/known_rows.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/moment_sequence.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/part_sequence.h"
#include "pomona/pipeline/photo_workers.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/pipeline/run.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/reader.h"

namespace pomona::distributed {
namespace {

using nlohmann::json;

std::string temporary(const std::string& run_id) {
  return "_temporary/" + run_id;
}

}  // namespace

struct Worker::Impl {
  json shipment;
  Job job;
  int threads;
  std::optional<Network> opened;
  std::optional<RowDescriber> rows;
  PhotoReader reader;
  std::map<int, std::shared_ptr<const Store>> sources;
  std::map<std::string, Store> places;
  std::string known_run;  // the run whose earlier parts these are
  ResumePlan known;
  std::shared_ptr<const KnownRows> known_rows;
  std::string pca_run;
  Pca pca;

  const Network& network() {
    if (!opened) {
      NetworkOptions options = job.featurize.network;
      options.streams = threads;
      opened = Network::load(options);
    }
    return *opened;
  }

  const RowDescriber& describer() {
    if (!rows) rows.emplace(job.featurize.listing.sources, job.featurize.labels);
    return *rows;
  }

  const Store& store(const std::string& place) {
    const auto at = places.find(place);
    return at != places.end() ? at->second : places.emplace(place, Store::open(place)).first->second;
  }

  // The connection photos of a source are read with; none for local ones and lists of paths.
  std::shared_ptr<const Store> source(int index) {
    if (index < 0) return nullptr;
    const std::string& name = job.featurize.listing.sources.at(static_cast<std::size_t>(index));
    if (!is_remote_uri(name)) return nullptr;
    auto& opened_source = sources[index];
    if (!opened_source) opened_source = std::make_shared<const Store>(Store::open(name));
    return opened_source;
  }

  const ResumePlan& earlier(const std::string& run_id) {
    if (known_run == run_id) return known;
    known = {};
    const std::string name = temporary(run_id) + "/plan.json";
    const json plan = parse_json(store(job.features).read(name));
    if (!plan.is_array()) {
      throw Error(ErrorCode::kFormat, job.features + "/" + name +
                                          ", which the driver wrote for its tasks, is damaged: start the job "
                                          "again with --resume");
    }
    for (const json& record : plan) known.parts.push_back(part_from_json(record));
    known_run = run_id;
    return known;
  }

  std::string save_moments(const Store& place, const std::string& run_id, std::uint64_t index,
                           const Moments& moments) {
    const std::string name = fmt::format("{}/moments/{:05}-{}.bin", temporary(run_id), index, new_run_id());
    place.write(name, moments.serialize());
    return name;
  }
};

Worker::Worker(const json& shipment, const std::string& folder, int threads)
    : impl_(std::make_unique<Impl>()) {
  impl_->shipment = shipment;
  impl_->job = localized(shipment.at("job"), folder);
  impl_->threads = std::max(threads, 1);
}
Worker::~Worker() = default;

json Worker::prepare(bool head) {
  Impl& w = *impl_;
  const Network& network = w.network();
  json out = {{"fingerprint", to_json(network.fingerprint())},
              {"d", network.dimension()},
              {"preprocess", to_json(network.preprocess())},
              {"machine", machine_record()}};
  if (!head) return out;
  FeaturesLayout layout = features_layout(w.job.featurize, network.dimension());
  std::vector<Entry> first;
  // A list from a pipe comes only once, and names no splits; one that lies with the driver is looked at
  // there.
  const ListingOptions& listing = w.job.featurize.listing;
  if (!listing.paths_from || is_remote_uri(*listing.paths_from)) first = list_head(listing);
  layout.schema.splits = w.describer().wants_splits(first);
  json header = features_header(layout, w.describer(), network.fingerprint());
  header["labels"] = w.shipment.at("record").at("labels");
  header["splits"] = layout.schema.splits;
  out["header"] = std::move(header);
  out["schema"] = to_json(layout.schema);
  out["photos_per_part"] = layout.photos_per_part;
  return out;
}

json Worker::list(const std::string& run_id, const json& unit) {
  return list_unit(impl_->job, run_id, unit);
}

json Worker::featurize(const json& task) {
  Impl& w = *impl_;
  const Network& network = w.network();
  require_same(network.fingerprint(), "this executor (" + machine_record().value("cpu", std::string()) + ")",
               fingerprint_from_json(task.at("fingerprint")), "the job, as its first executor understood it",
               true);
  const auto run_id = task.at("run_id").get<std::string>();
  const Store& dest = w.store(w.job.features);
  FeaturesLayout layout = features_layout(w.job.featurize, network.dimension());
  layout.schema = schema_from_json(task.at("schema"));
  const json& part = task.at("part");
  const auto index = part.at("index").get<std::uint64_t>();
  const auto first = part.at("first").get<std::uint64_t>();

  std::vector<Entry> entries;
  ListingDigest digest;
  ToldDigest told;
  const RowDescriber& describer = w.describer();
  bool remote = false;
  for (const json& segment : part.at("segments")) {
    const auto source = w.source(segment.at("source").get<int>());
    read_listing_chunk(dest, segment.at("chunk").get<std::string>(),
                       segment.at("offset").get<std::uint64_t>(), segment.at("count").get<std::uint64_t>(),
                       [&](Entry&& entry) {
                         digest.add(entry);
                         told.add(describer, entry, layout.schema);
                         entry.store = source;
                         remote = remote || is_remote_uri(entry.path);
                         entries.push_back(std::move(entry));
                       });
  }
  const std::string digest_text = digest.hex();
  const std::string told_text = told.hex();

  const bool wants_moments = w.job.fit && layout.schema.d <= w.job.featurize.max_moments_d;
  std::optional<Moments> moments;
  if (wants_moments) moments.emplace(layout.schema.d);
  std::map<std::string, std::uint64_t> reasons;
  if (task.at("known").get<bool>()) {
    if (const PartRecord* kept = w.earlier(run_id).find(first, digest_text, told_text)) {
      if (moments) add_part(*moments, dest, layout.schema, *kept);
      if (kept->rejected > 0) {
        for (const RejectRow& row : DatasetReader::open_parts(dest, layout.schema, {*kept}).rejects())
          count_reason(reasons, row.stage, row.reason);
      }
      return {{"record", to_json(*kept)},
              {"staged", ""},
              {"moments", moments ? w.save_moments(dest, run_id, index, *moments) : ""},
              {"computed", 0},
              {"identical", 0},
              {"reused", kept->rows},
              {"reasons", reasons},
              {"labelled", told.labelled()},
              {"first_path", told.first_path()},
              {"stages", json::object()},
              {"late_split", false}};
    }
    if (!w.known_rows) w.known_rows = std::make_shared<const KnownRows>(dest, layout.schema, w.known.parts);
  }

  const std::string staged = temporary(run_id) + "/attempt-" + new_run_id();
  std::stop_source stop;
  std::mutex mutex;
  std::exception_ptr error;
  const auto fail = [&](std::exception_ptr why) {
    {
      const std::lock_guard lock(mutex);
      if (!error) error = std::move(why);
    }
    stop.request_stop();
  };
  std::atomic<bool> late_split = false;
  PartSequence parts(dest.at(staged), layout.schema, run_id, layout.blocks_per_part(), fail, true,
                     task.at("file_id").get<std::string>());
  parts.describe(index, {{"first", first},
                         {"count", part.at("count")},
                         {"whole", part.at("whole")},
                         {"digest", digest_text},
                         {"told", told_text}});
  PhotoWorkers::Options options;
  options.workers = w.threads;
  options.io_threads = w.job.featurize.io_threads > 0 ? w.job.featurize.io_threads : (remote ? 32 : 4);
  options.block_rows = layout.block_rows;
  double moments_seconds = 0;
  PhotoWorkers workers(
      network, w.reader, options,
      [&](const Entry& entry) {
        RowInfo info = describer.describe(entry);
        if (info.split && !layout.schema.splits) late_split = true;
        return info;
      },
      [&](std::uint64_t number, Block&& block, bool) {
        if (moments && !block.rows.empty()) {
          const auto begin = std::chrono::steady_clock::now();
          moments->add(block.vectors, block.rows.size());
          moments_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        }
        parts.write(index * layout.blocks_per_part() + number, std::move(block), stop.get_token());
      },
      fail, stop.get_token());
  if (w.known_rows) workers.know(w.known_rows);
  const std::uint64_t count = entries.size();
  std::uint64_t number = 0;
  for (Entry& entry : entries) {
    if (!workers.push(number++, std::move(entry))) break;
  }
  workers.end(count);
  workers.join();
  const std::vector<PartRecord> records = parts.finish();
  {
    // Readers may still be at work, and fail.
    const std::lock_guard lock(mutex);
    if (error) std::rethrow_exception(error);
  }

  auto stages = workers.stages();
  stages["write"] = parts.seconds();
  if (moments) stages["moments"] = moments_seconds;
  json out = {{"record", to_json(records.at(0))},
              {"staged", staged},
              {"moments", moments ? w.save_moments(dest, run_id, index, *moments) : ""},
              {"computed", workers.counts().computed.load()},
              {"identical", workers.counts().identical.load()},
              {"reused", workers.counts().reused.load()},
              {"first_vector", workers.counts().first_vector.load()},
              {"reasons", workers.reasons()},
              {"labelled", told.labelled()},
              {"first_path", told.first_path()},
              {"stages", stages},
              {"late_split", late_split.load()}};
  // For a driver that comes after this one's death.
  dest.write(fmt::format("{}/done/{:05}-{}.json", temporary(run_id), index, new_run_id()),
             json{{"record", out["record"]}, {"staged", staged}}.dump());
  return out;
}

json Worker::part_moments(const json& task) {
  Impl& w = *impl_;
  const PartRecord record = part_from_json(task.at("record"));
  const Schema schema = schema_from_json(task.at("schema"));
  Moments moments(schema.d);
  add_part(moments, w.store(w.job.features), schema, record);
  return {{"index", record.index},
          {"moments", w.save_moments(w.store(task.at("place").get<std::string>()),
                                     task.at("run_id").get<std::string>(), record.index, moments)},
          {"rows", record.rows}};
}

json Worker::reduce(const json& task) {
  Impl& w = *impl_;
  const ReduceOptions& options = w.job.reduce.value();
  const auto run_id = task.at("run_id").get<std::string>();
  const Store& dest = w.store(options.dest);
  if (w.pca_run != run_id) {
    w.pca = Pca::deserialize(dest.read(temporary(run_id) + "/pca.bin"));
    w.pca_run = run_id;
  }
  const Schema schema = schema_from_json(task.at("schema"));
  const auto index = task.at("index").get<std::uint64_t>();
  const DatasetReader features =
      DatasetReader::open_parts(w.store(options.features), schema, {part_from_json(task.at("record"))});
  const std::string staged = temporary(run_id) + "/attempt-" + new_run_id();
  const auto record =
      reduce_part(features, 0, w.pca,
                  PartWriter(dest.at(staged), reduced_schema(schema, w.pca.k(), options), run_id, index),
                  [](std::size_t) { return true; });
  return {{"record", to_json(record.value())}, {"staged", staged}};
}

json Worker::conclude() {
  Impl& w = *impl_;
  json out = {{"notes", json::array()}, {"warnings", json::array()}};
  std::mutex mutex;
  Hooks hooks;
  hooks.note = [&](const std::string& text) {
    const std::lock_guard lock(mutex);
    out["notes"].push_back(text);
  };
  hooks.warning = [&](const std::string& text) {
    const std::lock_guard lock(mutex);
    out["warnings"].push_back(text);
  };
  RunOptions options = w.job.conclude.value();
  options.featurize.threads = w.threads;
  RunResult result;
  pomona::conclude(options, options.train ? std::optional(w.network()) : std::nullopt, result, hooks);
  if (result.trained) {
    json heads = json::array();
    for (const HeadReport& head : result.trained->heads) {
      heads.push_back({{"target", head.target},
                       {"classifier", head.classifier},
                       {"accuracy", head.validation.accuracy.value},
                       {"low", head.validation.accuracy.low},
                       {"high", head.validation.accuracy.high},
                       {"classes", head.counts.size()}});
    }
    out["model"] = {{"file", result.trained->path},
                    {"photos", result.trained->trained_on},
                    {"held_for_test", result.trained->held_for_test},
                    {"unlabelled", result.trained->unlabelled},
                    {"validated_by", result.trained->validated_by},
                    {"heads", heads}};
  }
  if (result.evaluation) {
    json targets = json::array();
    for (const TargetEvaluation& target : result.evaluation->targets) {
      targets.push_back({{"target", target.target},
                         {"photos", target.metrics.photos},
                         {"accuracy", target.metrics.accuracy.value},
                         {"low", target.metrics.accuracy.low},
                         {"high", target.metrics.accuracy.high}});
    }
    out["evaluation"] = {{"split", result.evaluation->split}, {"targets", targets}};
  }
  out["report"] = result.report;
  return out;
}

}  // namespace pomona::distributed
