// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/similar.h"

#include <map>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/learn/neighbours.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/photo_lane.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/reader.h"

namespace pomona {
namespace {

DatasetReader open_features(const std::string& uri) {
  const Store store = Store::open(uri);
  // A results folder of `run` holds its features below it.
  const bool results = !store.exists("_SUCCESS") && store.exists("features/_SUCCESS");
  return DatasetReader::open(results ? store.at("features") : store);
}

Network open_network(const SimilarOptions& options, const DatasetReader& dataset, const Hooks& hooks) {
  const nlohmann::json& run = dataset.run();
  if (!run.is_object() || !run.contains("fingerprint")) {
    throw Error(ErrorCode::kUsage, options.dataset +
                                       " does not say which network made its features (no _run.json): "
                                       "make it with `pomona featurize`");
  }
  if (dataset.schema().vector_column != "features") {
    throw Error(ErrorCode::kUsage,
                options.dataset + " holds components: name the dataset of features they came from");
  }
  const Fingerprint theirs = fingerprint_from_json(run["fingerprint"]);
  NetworkOptions network;
  if (run.contains("network")) network = network_options_from_json(run["network"]);
  if (options.model) {
    // Another file of the same network, for example a model file; the fingerprint decides whether it is.
    if (*options.model != network.model) {
      NetworkOptions own;
      own.model = *options.model;
      network = own;
    }
  } else if (!run.contains("network")) {
    network.model = run.value("model", network.model);
  }
  network.precision = precision_like(theirs.precision);
  network.batch = 1;
  network.streams = 1;
  Network loaded = Network::load(network);
  const auto warning =
      require_same(loaded.fingerprint(), loaded.name(), theirs, options.dataset, options.strict);
  if (warning && hooks.warning) hooks.warning(*warning);
  return loaded;
}

}  // namespace

std::vector<SimilarResult> find_similar(const SimilarOptions& options, const Hooks& hooks,
                                        std::stop_token stop) {
  if (options.photos.empty()) throw Error(ErrorCode::kUsage, "name a photo to look for");
  const DatasetReader dataset = open_features(options.dataset);
  const Network network = open_network(options, dataset, hooks);
  const auto d = static_cast<std::size_t>(network.dimension());
  const int threads = options.threads > 0 ? options.threads : cpu_budget();

  std::vector<SimilarResult> results;
  std::vector<std::size_t> found;  // photos that have a vector, by index into results
  std::vector<float> queries;
  PhotoLane lane(network);
  const PhotoReader reader;
  std::vector<std::byte> bytes;
  for (const std::string& path : options.photos) {
    SimilarResult result;
    result.photo = escape_path(path);
    Entry entry;
    entry.path = path;
    const auto read = reader.read(entry, bytes);
    const auto info = read ? lane.add(bytes) : Outcome<PhotoInfo>(std::unexpected(read.error()));
    if (!info) {
      result.rejected = escape_path(info.error().reason);
    } else {
      lane.infer();
      const auto vector = lane.features(0);
      queries.insert(queries.end(), vector.begin(), vector.end());
      found.push_back(results.size());
    }
    results.push_back(std::move(result));
  }
  if (found.empty()) return results;

  NearestRows nearest(queries, d, options.n);
  std::uint64_t first = 0;
  dataset.read(true, [&](Block&& block) {
    nearest.add(block.vectors, first, threads);
    first += block.rows.size();
    return !stop.stop_requested();
  });
  if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped");

  // Paths and labels of the few that were found, in a second pass that leaves the vectors out.
  std::vector<std::vector<Neighbour>> best;
  std::map<std::uint64_t, RowInfo> rows;
  for (std::size_t query = 0; query < found.size(); ++query) {
    best.push_back(nearest.best(query));
    for (const Neighbour& neighbour : best.back()) rows[neighbour.id];
  }
  first = 0;
  dataset.read(false, [&](Block&& block) {
    const std::uint64_t end = first + block.rows.size();
    for (auto row = rows.lower_bound(first); row != rows.end() && row->first < end; ++row) {
      row->second = std::move(block.rows[row->first - first]);
    }
    first = end;
    return true;
  });
  for (std::size_t query = 0; query < found.size(); ++query) {
    for (const Neighbour& neighbour : best[query]) {
      const RowInfo& row = rows[neighbour.id];
      results[found[query]].nearest.push_back({row.path, row.label, neighbour.similarity});
    }
  }
  return results;
}

}  // namespace pomona
