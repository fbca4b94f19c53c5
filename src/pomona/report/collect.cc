// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/collect.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/json_text.h"
#include "pomona/base/text.h"
#include "pomona/learn/pca.h"
#include "pomona/report/records.h"
#include "pomona/report/sampling.h"
#include "pomona/report/thumbnails.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/store.h"

namespace pomona {
namespace {

using nlohmann::json;

constexpr std::size_t kMostExampleRejects = 100'000;  // more are counted, but not read
constexpr std::size_t kMostClasses = 5000;            // the rest counts as unlabelled
constexpr std::size_t kEndsKept = 60;                 // photos kept at each end of a component
constexpr std::size_t kEndsShown = 6;

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped before the report was written.");
}

// JSON of a results folder; null where it is not there.
json read_json(const Store& dest, const std::string& name) {
  if (!dest.exists(name)) return {};
  json value = parse_json(dest.read(name));
  if (value.is_discarded()) {
    throw Error(ErrorCode::kFormat,
                fmt::format("{}/{} is not JSON. Run the step that writes it again.", dest.uri(), name));
  }
  require_known_format(value, dest.uri() + "/" + name);
  return value;
}

std::optional<DatasetReader> open_dataset(const Store& folder) {
  if (dataset_state(folder) != DatasetState::kFinished) return {};
  return DatasetReader::open(folder);
}

// Now, as 2026-11-21T04:15:44Z.
std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

struct ClassTally {
  std::uint64_t train = 0;
  std::uint64_t test = 0;
  SizeSketch sizes;
};

class Collector {
 public:
  Collector(const CollectOptions& options, const Hooks& hooks, std::stop_token stop)
      : options_(options), hooks_(hooks), stop_(std::move(stop)), dest_(Store::open(options.dest)) {}

  ReportData collect() {
    open();
    add_records();
    count_rows();
    add_pca();
    draw_rows();
    add_rejects();
    make_pictures();
    return std::move(data_);
  }

 private:
  void open() {
    features_ = open_dataset(dest_.at("features"));
    reduced_ = open_dataset(dest_.at("reduced"));
    if (!features_ && !reduced_) {
      auto own = open_dataset(dest_);
      if (!own) {
        throw Error(
            ErrorCode::kNotFound,
            fmt::format(
                "there are no finished results at {}. It should hold features/ or reduced/ as `pomona run` "
                "writes them, or be a dataset itself.",
                dest_.uri()));
      }
      (own->schema().vector_column == "components" ? reduced_ : features_) = std::move(own);
    }
    const std::string uri = dest_.uri();
    const std::size_t slash = uri.find_last_of('/');
    data_.title = options_.title.empty()
                      ? escape_path(slash == std::string::npos ? uri : uri.substr(slash + 1))
                      : options_.title;
    data_.subtitle = escape_path(uri);
  }

  void add_records() {
    const json whole = read_json(dest_, "_run.json");
    const json none;
    const json& features = features_ ? features_->run() : none;
    const json& reduced = reduced_ ? reduced_->run() : none;
    // At the top of a dataset alone its own record lies where that of a whole run would.
    const bool has_whole =
        whole.is_object() && whole.contains("stages") && whole != features && whole != reduced;
    if (has_whole) {
      json merged = features.is_object() ? features : json::object();
      merged.update(whole);
      add_run_record(merged, data_);
    } else if (features.is_object()) {
      add_run_record(features, data_);
      if (reduced.is_object()) add_later_step(reduced, "reduce", data_);
    } else if (reduced.is_object()) {
      add_run_record(reduced, data_);
    }
    add_evaluation(judged(features), options_.mistakes, data_);
    data_.generated = utc_now();
    data_.version = POMONA_VERSION;
  }

  // The figures of the model, where they are about these tables.
  json judged(const json& features) const {
    json figures = read_json(dest_, "evaluation.json");
    const auto about = figures.is_object() ? figures.find("features_digest") : figures.end();
    const std::string now = rows_digest(features);
    if (!figures.is_object() || about == figures.end() || now.empty() || *about == now) return figures;
    if (hooks_.warning) {
      hooks_.warning(
          escape_path(dest_.uri()) +
          "/evaluation.json is about other tables than those in features/, so the report leaves it "
          "out: `pomona run` with --resume makes a model of these");
    }
    return {};
  }

  const DatasetReader& rows() const { return reduced_ ? *reduced_ : *features_; }

  // First pass, without vectors: classes and sizes.
  void count_rows() {
    SizeSketch sizes;
    std::map<std::string, ClassTally> tallies;
    rows().read(false, [&](Block&& block) {
      check_stop(stop_);
      for (const RowInfo& row : block.rows) {
        ++total_;
        const std::uint64_t priority = random_priority(row.path, options_.seed);
        const double longer = std::max(row.width, row.height);
        if (longer > 0) sizes.add(longer, priority);
        if (!row.label) continue;
        auto found = tallies.find(*row.label);
        if (found == tallies.end()) {
          if (tallies.size() >= kMostClasses) continue;
          found = tallies.emplace(*row.label, ClassTally{}).first;
        }
        const bool test = row.split && *row.split == "Test";
        data_.has_split = data_.has_split || test;
        ++(test ? found->second.test : found->second.train);
        if (longer > 0) found->second.sizes.add(longer, priority);
      }
      return true;
    });
    if (!sizes.empty()) data_.sizes = sizes.quantiles();
    std::uint64_t labelled = 0;
    for (const auto& [name, tally] : tallies) {
      class_index_[name] = data_.classes.size();
      ReportClass one{name, tally.train, tally.test, {}};
      if (!tally.sizes.empty()) one.sizes = tally.sizes.quantiles();
      data_.classes.push_back(std::move(one));
      strata_.push_back(tally.train + tally.test);
      labelled += strata_.back();
    }
    strata_.push_back(total_ - labelled);  // without a class
    warn_of_classes();
    if (!data_.counts) data_.counts = ReportCounts{total_, total_, 0};
  }

  void warn_of_classes() {
    std::vector<std::string> few;
    for (const ReportClass& c : data_.classes) {
      if (c.train + c.test < 5) few.push_back(c.name);
    }
    if (few.empty()) return;
    const std::size_t named = std::min<std::size_t>(few.size(), 5);
    data_.warnings.push_back(
        fmt::format("{} with fewer than five photos: {}{}.",
                    few.size() == 1 ? "One class" : fmt::format("{} classes", few.size()),
                    fmt::join(few.begin(), few.begin() + static_cast<std::ptrdiff_t>(named), ", "),
                    few.size() > named ? ", ..." : ""));
  }

  void add_pca() {
    const json header =
        reduced_ && reduced_->run().is_object() ? reduced_->run().value("header", json()) : json();
    const json sha256 = header.is_object() ? header.value("pca_sha256", json()) : json();
    std::string bytes;
    // The one that made the components: `reduce` leaves it with them, beside that of an older run.
    for (const auto& [folder, name] :
         {std::pair{dest_.at("pca"), "pca.bin"}, {dest_.at("reduced"), "_pca.bin"}}) {
      if (!bytes.empty() || !folder.exists(name)) continue;
      bytes = folder.read(name);
      if (sha256.is_string() && sha256_hex(bytes) != sha256.get<std::string>()) bytes.clear();
    }
    if (bytes.empty()) return;
    const Pca pca = Pca::deserialize(bytes);
    data_.spectrum.assign(pca.spectrum().begin(), pca.spectrum().end());
    data_.kept_components = reduced_ ? reduced_->schema().d : pca.k();
    for (const double v : data_.spectrum) variance_ += std::max(0.0, v);
  }

  // Second pass: the sample of the scatter, and the ends of the components. Without components there is no
  // scatter, but still a sample of photos.
  void draw_rows() {
    const auto k = static_cast<std::size_t>(reduced_ ? reduced_->schema().d : 0);
    const std::size_t shown = std::min(k, static_cast<std::size_t>(std::max(options_.components, 0)));
    const bool scatter = shown >= 2;
    const std::size_t ended = std::min(k, static_cast<std::size_t>(std::max(options_.ends, 0)));
    StratifiedSampler sampler(strata_, scatter ? options_.points : options_.sample, options_.seed);
    std::vector<EndsKeeper> ends(ended, EndsKeeper(kEndsKept));
    rows().read(k > 0, [&](Block&& block) {
      check_stop(stop_);
      for (std::size_t i = 0; i < block.rows.size(); ++i) {
        const RowInfo& row = block.rows[i];
        const std::span<const float> vector = std::span(block.vectors).subspan(i * k, k);
        const auto found = row.label ? class_index_.find(*row.label) : class_index_.end();
        const std::size_t stratum = found == class_index_.end() ? data_.classes.size() : found->second;
        sampler.offer(row.path, stratum, vector.first(scatter ? shown : 0));
        for (std::size_t j = 0; j < ended; ++j) ends[j].offer(vector[j], row.path);
      }
      return true;
    });
    drawn_ = sampler.take();
    if (scatter) fill_scatter(shown);
    fill_sample();
    for (std::size_t j = 0; j < ended; ++j) {
      ComponentEnds one;
      one.index = static_cast<int>(j);
      one.share = variance_ > 0 && j < data_.spectrum.size() ? data_.spectrum[j] / variance_ : 0;
      for (const std::string& path : ends[j].low(kEndsShown)) one.low.push_back(picture(path));
      // The outermost stands at the outer edge.
      const auto high = ends[j].high(kEndsShown);
      for (auto path = high.rbegin(); path != high.rend(); ++path) one.high.push_back(picture(*path));
      data_.component_ends.push_back(std::move(one));
    }
  }

  void fill_scatter(std::size_t components) {
    ReportScatter scatter;
    scatter.components = static_cast<int>(components);
    scatter.total = total_;
    scatter.seed = options_.seed;
    std::vector<std::uint64_t> sizes;
    for (const auto& stratum : drawn_) sizes.push_back(stratum.size());
    const std::vector<std::size_t> pictures = stratified_quota(sizes, options_.pictures);
    for (std::size_t s = 0; s < drawn_.size(); ++s) {
      const bool labelled = s < data_.classes.size();
      for (std::size_t i = 0; i < drawn_[s].size(); ++i) {
        const SampledRow& row = drawn_[s][i];
        scatter.values.insert(scatter.values.end(), row.values.begin(), row.values.end());
        scatter.group.push_back(labelled ? static_cast<std::uint16_t>(s) : kNoGroup);
        scatter.thumbnail.push_back(i < pictures[s] ? picture(row.path) : kNoThumbnail);
      }
    }
    if (data_.classes.empty()) scatter.group.clear();
    if (options_.cluster && scatter.size() > 0) {
      scatter.cluster = options_.cluster(scatter.values, scatter.components);
    }
    if (scatter.size() > 0) data_.scatter = std::move(scatter);
  }

  // One photo of each class in turn, until the grid is full.
  void fill_sample() {
    bool more = true;
    for (std::size_t round = 0; more && data_.sample.size() < options_.sample; ++round) {
      more = false;
      for (std::size_t s = 0; s < drawn_.size() && data_.sample.size() < options_.sample; ++s) {
        if (round >= drawn_[s].size()) continue;
        more = true;
        data_.sample.push_back(picture(drawn_[s][round].path));
        data_.sample_group.push_back(s < data_.classes.size() ? static_cast<std::uint16_t>(s) : kNoGroup);
      }
    }
  }

  // The index of the picture of a photo; made later, all at once.
  std::int32_t picture(const std::string& path) {
    const auto [found, is_new] =
        picture_index_.try_emplace(path, static_cast<std::int32_t>(picture_paths_.size()));
    if (is_new) picture_paths_.push_back(path);
    return found->second;
  }

  void make_pictures() {
    for (ReportMistake& mistake : data_.mistakes) mistake.thumbnail = picture(mistake.path);
    if (options_.thumbnail_side <= 0) {
      for (const std::string& path : picture_paths_) data_.thumbnails.push_back({path, {}, 0, 0});
      return;
    }
    ThumbnailOptions options;
    options.side = options_.thumbnail_side;
    options.threads = options_.threads;
    data_.thumbnails = make_thumbnails(picture_paths_, options, stop_);
    check_stop(stop_);
    const auto missing =
        std::ranges::count_if(data_.thumbnails, [](const Thumbnail& t) { return t.jpeg.empty(); });
    if (missing > 0 && hooks_.warning) {
      hooks_.warning(
          fmt::format("{} of {} photos for the report's pictures could not be read again; the report shows a "
                      "placeholder for each.",
                      missing, data_.thumbnails.size()));
    }
  }

  // Examples of rejected photos, where reading them all is no burden.
  void add_rejects() {
    if (!features_ || !data_.counts || data_.counts->rejected == 0 ||
        data_.counts->rejected > kMostExampleRejects)
      return;
    std::vector<RejectGroup> groups;
    for (RejectRow& row : features_->rejects()) groups.push_back({row.stage, row.reason, 1, {row.path}});
    if (!groups.empty()) data_.rejects = group_rejects(std::move(groups));
  }

  const CollectOptions& options_;
  const Hooks& hooks_;
  std::stop_token stop_;
  Store dest_;
  std::optional<DatasetReader> features_;
  std::optional<DatasetReader> reduced_;
  ReportData data_;
  std::uint64_t total_ = 0;
  double variance_ = 0;
  std::map<std::string, std::size_t> class_index_;
  std::vector<std::uint64_t> strata_;  // photos of each class, and last those without one
  std::vector<std::vector<SampledRow>> drawn_;
  std::unordered_map<std::string, std::int32_t> picture_index_;
  std::vector<std::string> picture_paths_;
};

}  // namespace

ReportData collect_report(const CollectOptions& options, const Hooks& hooks, std::stop_token stop) {
  return Collector(options, hooks, std::move(stop)).collect();
}

}  // namespace pomona
