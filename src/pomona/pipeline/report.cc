// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/report.h"

#include <fmt/core.h>

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "pomona/base/cpu.h"
#include "pomona/base/text.h"
#include "pomona/learn/kmeans.h"
#include "pomona/pipeline/bill.h"
#include "pomona/report/collect.h"
#include "pomona/report/render.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/store.h"

namespace pomona {
namespace {

constexpr double kMillion = 1e6;

std::optional<DatasetReader> open_dataset(const Store& place) {
  if (dataset_state(place) != DatasetState::kFinished) return {};
  return DatasetReader::open(place);
}

// The dataset of a results folder, or the place itself where it is one with that column.
std::optional<DatasetReader> find_dataset(const Store& dest, const char* name) {
  if (auto below = open_dataset(dest.at(name))) return below;
  auto own = open_dataset(dest);
  if (own && own->schema().vector_column != (std::string_view(name) == "reduced" ? "components" : "features"))
    own.reset();
  return own;
}

double stored_bytes(const std::optional<DatasetReader>& dataset) {
  double bytes = 0;
  if (dataset) {
    for (const PartRecord& part : dataset->parts()) bytes += static_cast<double>(part.bytes);
  }
  return bytes;
}

std::string bytes_text(double bytes) {
  return human_bytes(static_cast<std::uint64_t>(bytes));
}

void add_money(const DatasetReader& features, const Pace& pace, const nlohmann::json& prices,
               ReportData& data) {
  const auto rows = static_cast<double>(features.rows());
  const nlohmann::json run = bill_for({rows, rows * pace.thread_seconds, 0, 0}, prices);
  const nlohmann::json million = bill_for({kMillion, kMillion * pace.thread_seconds, 0, 0}, prices);
  if (!run.is_object()) return;
  const std::string currency = run["currency"];
  const std::string machine = run["machine"];
  const auto amount = [&](const nlohmann::json& bill, const char* key) {
    return money(bill[key].get<double>(), currency);
  };
  data.cost.push_back({fmt::format("These {} photos", human_count(features.rows())),
                       amount(run, "compute_on_demand"),
                       fmt::format("{} of {}, on demand",
                                   human_seconds(3600 * run["machine_hours"].get<double>()), machine)});
  data.cost.push_back(
      {"A thousand photos", money(million["compute_on_demand"].get<double>() / 1000, currency), "on demand"});
  data.cost.push_back({"A million photos", amount(million, "compute_on_demand"),
                       fmt::format("{} hours of {}; {} as spot",
                                   fmt::format("{:.2f}", million["machine_hours"].get<double>()), machine,
                                   amount(million, "compute_spot"))});
  data.cost.push_back({"Reading a million from an object store", amount(million, "requests"),
                       "requests; nothing from a disk"});
}

void add_storage(const char* what, const std::optional<DatasetReader>& dataset, const nlohmann::json& prices,
                 ReportData& data) {
  const double bytes = stored_bytes(dataset);
  if (bytes <= 0 || dataset->rows() == 0) return;
  const double each = bytes / static_cast<double>(dataset->rows());
  std::string note = fmt::format("{} a photo", bytes_text(each));
  const nlohmann::json bill = bill_for({kMillion, 0, 0, kMillion * each}, prices);
  if (bill.is_object()) {
    // The dearest class is the one for data that is read often.
    std::string name;
    double most = 0;
    for (const auto& [storage, cost] : bill["storage"].items()) {
      if (cost["features_month"].get<double>() > most) most = cost["features_month"], name = storage;
    }
    if (most > 0)
      note += fmt::format("; a million: {}, {} a month in {}", bytes_text(kMillion * each),
                          money(most, bill["currency"]), name);
  }
  data.cost.push_back({what, bytes_text(bytes), std::move(note)});
}

void add_cost(const Store& dest, const nlohmann::json& prices, ReportData& data) {
  const auto features = find_dataset(dest, "features");
  const auto reduced = find_dataset(dest, "reduced");
  const std::optional<Pace> pace = features ? pace_of(features->run()) : std::nullopt;
  if (pace) {
    add_money(*features, *pace, prices, data);
    data.cost.push_back({"A million photos take", human_seconds(kMillion * pace->wall_seconds),
                         "on this machine, at the pace of this run"});
  }
  add_storage("Features, stored", features, prices, data);
  add_storage("Components, stored", reduced, prices, data);
  if (data.cost.empty()) return;
  const nlohmann::json bill = bill_for({}, prices);
  if (!bill.is_object()) {
    data.cost_note = "Time and storage, as this run needed them.";
    return;
  }
  const std::string region = bill["region"];
  const std::string as_of = bill["as_of"];
  data.cost_note = fmt::format(
      "From photos to features, at the list prices{}{}, without tax; a virtual CPU is taken to be as fast as "
      "a "
      "thread was here. `pomona report --prices FILE` reckons with yours.",
      region.empty() ? "" : " of " + region, as_of.empty() ? "" : " as of " + as_of);
  if (!pace)
    data.cost_note =
        "All photos were taken from an earlier run, so this one says nothing about time. " + data.cost_note;
}

}  // namespace

std::string write_report(const ReportOptions& options, const Hooks& hooks, std::stop_token stop) {
  CollectOptions collect;
  collect.dest = options.dest;
  collect.title = options.title;
  collect.seed = options.seed;
  if (!options.pictures) collect.thumbnail_side = 0;
  collect.cluster = [&](std::span<const float> values, int components) {
    KMeansOptions kmeans_options;
    kmeans_options.seed = options.seed;
    kmeans_options.restarts = 8;
    kmeans_options.threads = cpu_budget();
    const auto d = static_cast<std::size_t>(components);
    const std::size_t rows = values.size() / d;
    if (rows < 2 * static_cast<std::size_t>(kmeans_options.k_max)) return std::vector<std::uint16_t>(rows, 0);
    const KMeans clusters = kmeans(values, d, kmeans_options);
    return std::vector<std::uint16_t>(clusters.assignments.begin(), clusters.assignments.end());
  };
  ReportData data = collect_report(collect, hooks, std::move(stop));
  const Store place = Store::open(options.dest);
  add_cost(place, options.prices, data);
  const std::string html = render_report(data);
  // Within a dataset every file that is not hidden is taken for a part of it.
  const bool results = open_dataset(place.at("features")) || open_dataset(place.at("reduced"));
  const std::string name = results ? "report.html" : "_report.html";
  place.write(name, html);
  return place.uri() + "/" + name;
}

}  // namespace pomona
