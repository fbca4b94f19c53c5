// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/cluster.h"

#include <arrow/builder.h>
#include <arrow/io/memory.h>
#include <arrow/table.h>
#include <parquet/arrow/writer.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/learn/pca.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

// Wider vectors get no moment matrix: at 8,192 it is 256 MB already.
constexpr int kWidest = 8192;

struct Rows {
  std::string source;
  std::vector<float> x;  // n x d
  int d = 0;
  bool reduced_here = false;
  std::vector<std::string> paths;
  std::vector<int> y;  // index into labels; -1 = none
  std::vector<std::string> labels;
};

// The components of a results folder, or the dataset itself.
Store find_rows(const std::string& uri) {
  Store place = Store::open(uri);
  for (const char* below : {"reduced", "features"}) {
    if (dataset_state(place) == DatasetState::kFinished) break;
    if (dataset_state(place.at(below)) == DatasetState::kFinished) return place.at(below);
  }
  return place;
}

Rows read_rows(const ClusterOptions& options, const std::stop_token& stop) {
  const Store place = find_rows(options.dataset);
  const DatasetReader reader = DatasetReader::open(place);
  Rows rows;
  rows.source = place.uri();
  rows.d = reader.schema().d;
  rows.x.reserve(reader.rows() * static_cast<std::uint64_t>(rows.d));
  std::map<std::string, int> known;
  reader.read(true, [&](Block&& block) {
    rows.x.insert(rows.x.end(), block.vectors.begin(), block.vectors.end());
    for (RowInfo& row : block.rows) {
      rows.paths.push_back(std::move(row.path));
      if (!row.label) {
        rows.y.push_back(-1);
        continue;
      }
      const auto [at, fresh] = known.try_emplace(*row.label, static_cast<int>(known.size()));
      if (fresh) rows.labels.push_back(*row.label);
      rows.y.push_back(at->second);
    }
    return !stop.stop_requested();
  });
  if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped; no clusters were found");
  if (rows.paths.size() < 2)
    throw Error(ErrorCode::kUsage, rows.source + " has fewer than two photos: nothing to group");
  for (std::size_t i = 0; i < rows.x.size(); ++i) {
    if (std::isfinite(rows.x[i])) continue;
    throw Error(ErrorCode::kFormat, rows.source + " holds a number that is not finite, in the vector of " +
                                        rows.paths[i / static_cast<std::size_t>(rows.d)] +
                                        ". `pomona check` says whether the dataset is damaged.");
  }
  if (reader.schema().vector_column == "components") return rows;
  if (rows.d > kWidest) {
    throw Error(ErrorCode::kUsage, rows.source + " holds features of " + std::to_string(rows.d) +
                                       " numbers: reduce them first with `pomona reduce`");
  }
  Moments moments(rows.d);
  moments.add(rows.x, rows.paths.size(), options.threads);
  const Pca pca =
      Pca::fit(moments, {.k = {}, .variance = options.variance, .center = true, .threads = options.threads});
  std::vector<float> y(rows.paths.size() * static_cast<std::size_t>(pca.k()));
  pca.transform(rows.x, rows.paths.size(), y, options.threads);
  rows.x = std::move(y);
  rows.d = pca.k();
  rows.reduced_here = true;
  return rows;
}

// How often each label occurs in each cluster, of the labelled things.
struct Contingency {
  std::map<std::pair<int, int>, double> both;
  std::map<int, double> clusters;
  std::map<int, double> labels;
  double n = 0;
};

Contingency count(std::span<const int> clusters, std::span<const int> labels) {
  if (clusters.size() != labels.size())
    throw Error(ErrorCode::kMismatch, "clusters and labels differ in number");
  Contingency table;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;
    ++table.both[{clusters[i], labels[i]}];
    ++table.clusters[clusters[i]];
    ++table.labels[labels[i]];
    ++table.n;
  }
  return table;
}

double entropy(const std::map<int, double>& counts, double n) {
  double sum = 0;
  for (const auto& [key, c] : counts) sum -= c / n * std::log(c / n);
  return sum;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    const double difference = static_cast<double>(a[j]) - b[j];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

std::vector<ClusterSummary> summarize(const Rows& rows, const KMeans& kmeans, std::size_t nearest) {
  const std::size_t d = kmeans.d;
  std::vector<ClusterSummary> summaries(kmeans.sizes.size());
  std::vector<std::vector<std::pair<double, std::size_t>>> order(summaries.size());
  std::vector<std::map<int, std::size_t>> counts(summaries.size());
  for (std::size_t i = 0; i < rows.paths.size(); ++i) {
    const auto c = static_cast<std::size_t>(kmeans.assignments[i]);
    const auto row = std::span(rows.x).subspan(i * d, d);
    order[c].emplace_back(distance(row, std::span(kmeans.centres).subspan(c * d, d)), i);
    if (rows.y[i] >= 0) ++counts[c][rows.y[i]];
  }
  for (std::size_t c = 0; c < summaries.size(); ++c) {
    ClusterSummary& summary = summaries[c];
    summary.photos = kmeans.sizes[c];
    std::size_t labelled = 0;
    std::size_t most = 0;
    for (const auto& [label, times] : counts[c]) {
      labelled += times;
      if (times > most) most = times, summary.label = rows.labels[static_cast<std::size_t>(label)];
    }
    if (labelled > 0) summary.label_share = static_cast<double>(most) / static_cast<double>(labelled);
    const std::size_t shown = std::min(nearest, order[c].size());
    std::ranges::partial_sort(order[c], order[c].begin() + static_cast<std::ptrdiff_t>(shown));
    for (std::size_t i = 0; i < shown; ++i) {
      const auto [far, row] = order[c][i];
      std::optional<std::string> label;
      if (rows.y[row] >= 0) label = rows.labels[static_cast<std::size_t>(rows.y[row])];
      summary.nearest.push_back({rows.paths[row], std::move(label), far});
    }
  }
  return summaries;
}

std::string csv_table(const Rows& rows, const KMeans& kmeans) {
  std::string text = "path,cluster\n";
  for (std::size_t i = 0; i < rows.paths.size(); ++i) {
    const std::string& path = rows.paths[i];
    if (path.find_first_of(",\"\n\r") == std::string::npos) {
      text += path;
    } else {
      text += '"';
      for (const char c : path) text += c == '"' ? std::string("\"\"") : std::string(1, c);
      text += '"';
    }
    text += ',' + std::to_string(kmeans.assignments[i]) + '\n';
  }
  return text;
}

void check(const arrow::Status& status) {
  if (!status.ok()) throw Error(ErrorCode::kIo, "cannot make the table of clusters: " + status.ToString());
}

template <typename T>
T take(arrow::Result<T> result) {
  check(result.status());
  return std::move(result).ValueUnsafe();
}

std::string parquet_table(const Rows& rows, const KMeans& kmeans) {
  arrow::StringBuilder paths;
  arrow::Int32Builder clusters;
  check(paths.AppendValues(rows.paths));
  check(clusters.AppendValues(kmeans.assignments));
  const auto schema = arrow::schema(
      {arrow::field("path", arrow::utf8(), false), arrow::field("cluster", arrow::int32(), false)});
  const auto table = arrow::Table::Make(schema, {take(paths.Finish()), take(clusters.Finish())});
  const auto out = take(arrow::io::BufferOutputStream::Create());
  check(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, 1 << 20));
  return take(out->Finish())->ToString();
}

// Where the table goes; made sure of before the work begins.
class Output {
 public:
  explicit Output(const ClusterOptions& options) {
    if (options.output.empty()) return;
    const std::string name = file_place(options.output).name;
    parquet_ = name.ends_with(".parquet");
    if (!parquet_ && !name.ends_with(".csv")) {
      throw Error(ErrorCode::kUsage, options.output + " ends neither in .csv nor in .parquet");
    }
    FilePlace place = file_place(options.output);
    folder_ = Store::open(place.folder);
    name_ = std::move(place.name);
    if (!options.overwrite && folder_->exists(name_))
      throw Error(ErrorCode::kExists, options.output + " is there already. --overwrite replaces it.");
  }
  void write(const Rows& rows, const KMeans& kmeans) const {
    if (folder_) folder_->write(name_, parquet_ ? parquet_table(rows, kmeans) : csv_table(rows, kmeans));
  }

 private:
  std::optional<Store> folder_;
  std::string name_;
  bool parquet_ = false;
};

}  // namespace

std::optional<double> adjusted_rand(std::span<const int> clusters, std::span<const int> labels) {
  const Contingency table = count(clusters, labels);
  if (table.n == 0) return {};
  const auto pairs = [](const auto& counts) {
    double sum = 0;
    for (const auto& [key, c] : counts) sum += c * (c - 1) / 2;
    return sum;
  };
  const double both = pairs(table.both);
  const double a = pairs(table.clusters);
  const double b = pairs(table.labels);
  const double all = table.n * (table.n - 1) / 2;
  const double expected = all > 0 ? a * b / all : 0;
  const double best = (a + b) / 2;
  // Both one group, or both all single: nothing could differ.
  return best == expected ? 1 : (both - expected) / (best - expected);
}

std::optional<double> normalized_information(std::span<const int> clusters, std::span<const int> labels) {
  const Contingency table = count(clusters, labels);
  if (table.n == 0) return {};
  double information = 0;
  for (const auto& [pair, c] : table.both) {
    information +=
        c / table.n * std::log(c * table.n / (table.clusters.at(pair.first) * table.labels.at(pair.second)));
  }
  const double mean = (entropy(table.clusters, table.n) + entropy(table.labels, table.n)) / 2;
  return mean <= 0 ? 1 : std::clamp(information / mean, 0.0, 1.0);
}

ClusterResult cluster_photos(const ClusterOptions& given, const Hooks& hooks, std::stop_token stop) {
  ClusterOptions options = given;
  if (options.threads <= 0) options.threads = cpu_budget();
  const Output output(options);
  const Rows rows = read_rows(options, stop);
  if (hooks.progress) {
    Progress progress;
    progress.done = rows.paths.size();
    progress.total = rows.paths.size();
    hooks.progress(progress);
  }
  KMeansOptions kmeans_options;
  kmeans_options.k = options.k;
  kmeans_options.k_max = options.k_max;
  kmeans_options.seed = options.seed;
  kmeans_options.threads = options.threads;

  ClusterResult result;
  result.source = rows.source;
  result.photos = rows.paths.size();
  result.labelled = static_cast<std::uint64_t>(std::ranges::count_if(rows.y, [](int y) { return y >= 0; }));
  result.components = rows.d;
  result.reduced_here = rows.reduced_here;
  result.kmeans = kmeans(rows.x, static_cast<std::size_t>(rows.d), kmeans_options);
  if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped; no table was written");
  result.clusters = summarize(rows, result.kmeans, options.nearest);
  result.purity = purity(result.kmeans.assignments, rows.y);
  result.adjusted_rand = adjusted_rand(result.kmeans.assignments, rows.y);
  result.normalized_information = normalized_information(result.kmeans.assignments, rows.y);
  output.write(rows, result.kmeans);
  return result;
}

nlohmann::json to_json(const ClusterResult& result) {
  nlohmann::json clusters = nlohmann::json::array();
  for (std::size_t c = 0; c < result.clusters.size(); ++c) {
    const ClusterSummary& summary = result.clusters[c];
    nlohmann::json one = {{"cluster", c}, {"photos", summary.photos}, {"nearest", nlohmann::json::array()}};
    if (summary.label) one["label"] = *summary.label, one["label_share"] = summary.label_share;
    for (const ClusterPhoto& photo : summary.nearest) {
      nlohmann::json near = {{"path", photo.path}, {"distance", photo.distance}};
      if (photo.label) near["label"] = *photo.label;
      one["nearest"].push_back(std::move(near));
    }
    clusters.push_back(std::move(one));
  }
  nlohmann::json json = {{"dataset", result.source},
                         {"photos", result.photos},
                         {"labelled", result.labelled},
                         {"components", result.components},
                         {"reduced_here", result.reduced_here},
                         {"k", result.kmeans.k},
                         {"inertia", result.kmeans.inertia},
                         {"converged", result.kmeans.converged},
                         {"clusters", std::move(clusters)}};
  if (!result.kmeans.trials.empty()) {
    json["trials"] = nlohmann::json::array();
    for (const KMeans::Trial& trial : result.kmeans.trials)
      json["trials"].push_back({{"k", trial.k}, {"silhouette", trial.silhouette}});
  }
  if (result.purity) json["purity"] = *result.purity;
  if (result.adjusted_rand) json["adjusted_rand"] = *result.adjusted_rand;
  if (result.normalized_information) json["normalized_information"] = *result.normalized_information;
  return json;
}

}  // namespace pomona
