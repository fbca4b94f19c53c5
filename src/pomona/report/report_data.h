// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pomona {

// Everything a report may show, as plain values. An empty or absent part is left out of the page.
// Strings are UTF-8 and may hold anything else: the renderer escapes them (and mends what is not UTF-8).

// A picture of the report. Other parts refer to it by its index in ReportData::thumbnails.
struct Thumbnail {
  std::string path;  // of the photo, for the caption
  std::string jpeg;  // a small JPEG made from pixels (so it carries no EXIF); empty = a placeholder is drawn
  int width = 0;     // pixels of the thumbnail
  int height = 0;
};

constexpr std::int32_t kNoThumbnail = -1;

// A class or cluster of a point, where it has none.
constexpr std::uint16_t kNoGroup = 0xFFFF;

// What ran, as a list for people: ("Network", "EfficientNet-Lite0, 224 px"), ...
struct ReportRun {
  std::string command;                                        // command line, or empty
  std::string started;                                        // ISO 8601, or empty
  double seconds = 0;                                         // the whole run; 0 = not known
  std::vector<std::pair<std::string, std::string>> facts;     // network, precision, fingerprint, machine
  std::vector<std::pair<std::string, std::string>> versions;  // Pomona, OpenVINO, Arrow, ...
  std::vector<std::pair<std::string, std::string>> options;   // as given
};

// One bar of the timeline; several spans may share a lane.
struct TimelineSpan {
  std::string stage;
  std::string lane;  // thread, process or Spark executor
  double begin = 0;  // s since the run began
  double end = 0;    // s
};

struct StageSeconds {
  std::string stage;
  double seconds = 0;  // thread time
};

struct ReportCounts {
  std::uint64_t listed = 0;
  std::uint64_t written = 0;
  std::uint64_t rejected = 0;
};

struct RejectGroup {
  std::string stage;
  std::string reason;
  std::uint64_t count = 0;
  std::vector<std::string> examples;  // a few paths
};

// A sample of the photos in the space of the first components.
struct ReportScatter {
  int components = 0;                // c >= 2: columns of `values`
  std::vector<float> values;         // n x c, row-major
  std::vector<std::uint16_t> group;  // n: index into ReportData::classes, kNoGroup where unlabelled; or empty
  std::vector<std::uint16_t> cluster;   // n: cluster 0, 1, ...; or empty
  std::vector<std::int32_t> thumbnail;  // n: index or kNoThumbnail; or empty
  std::uint64_t total = 0;              // photos the sample was drawn from
  std::uint64_t seed = 0;               // of the draw
  std::size_t size() const {
    return components > 0 ? values.size() / static_cast<std::size_t>(components) : 0;
  }
};

// How large the photos of a class are: the longer side, in pixels, at the quantiles 0, 25, 50, 75, 100 %.
struct SizeQuantiles {
  double minimum = 0, lower = 0, median = 0, upper = 0, maximum = 0;
};

struct ReportClass {
  std::string name;
  std::uint64_t train = 0;  // photos; all of them where there is no split
  std::uint64_t test = 0;
  std::optional<SizeQuantiles> sizes;
};

// The photos at the two ends of a component.
struct ComponentEnds {
  int index = 0;                  // 0-based
  double share = 0;               // of the variance, 0..1
  std::vector<std::int32_t> low;  // thumbnails
  std::vector<std::int32_t> high;
};

// A figure for the headline. `low` and `high` bound its 95 % interval where known.
struct ReportMetric {
  std::string name;
  double value = 0;  // a share, 0..1
  std::optional<double> low, high;
};

struct ReportClassMetrics {
  std::string label;
  double precision = 0, recall = 0, f1 = 0;  // 0..1
  std::uint64_t support = 0;                 // photos
};

struct ReportEvaluation {
  std::string classifier;    // "logistic", ...
  std::uint64_t photos = 0;  // judged
  std::string split;         // which photos: "Test", "20 % held back", ...; or empty
  std::vector<ReportMetric> metrics;
  std::vector<std::string> classes;      // c names, in the order of `confusion`
  std::vector<std::uint64_t> confusion;  // c x c, row-major: row = true class, column = predicted; or empty
  std::vector<ReportClassMetrics> per_class;
};

struct ReportMistake {
  std::int32_t thumbnail = kNoThumbnail;
  std::string path;
  std::string label;
  std::string predicted;
  double probability = 0;  // of `predicted`, 0..1
};

// Accuracy with the first k components, stored as f32, f16 or u8. Absent where not measured.
struct StoragePoint {
  int k = 0;
  std::optional<double> accuracy_f32, accuracy_f16, accuracy_u8;  // 0..1
  double bytes_f32 = 0, bytes_f16 = 0, bytes_u8 = 0;              // per photo
};

// How the accuracies of StoragePoints were found.
struct StorageBasis {
  std::string head;           // "lda"
  std::string split;          // judged on, as in ReportEvaluation
  std::uint64_t trained = 0;  // photos
  std::uint64_t judged = 0;   // photos that neither PCA nor head saw
  int dimension = 0;          // numbers of a whole feature vector
};

struct CostLine {
  std::string what;
  std::string amount;
  std::string note;
};

struct ReportData {
  std::string title = "Pomona report";
  std::string subtitle;
  std::string generated;  // when, ISO 8601
  std::string version;    // of Pomona
  std::vector<std::string> warnings;

  std::vector<Thumbnail> thumbnails;

  ReportRun run;
  std::vector<TimelineSpan> timeline;
  std::vector<StageSeconds> stage_seconds;
  std::optional<ReportCounts> counts;
  std::vector<RejectGroup> rejects;

  std::vector<double> spectrum;  // all eigenvalues, descending
  int kept_components = 0;       // k of the reduced dataset
  std::optional<ReportScatter> scatter;
  std::vector<ComponentEnds> component_ends;

  std::vector<ReportClass> classes;
  bool has_split = false;                   // ReportClass::train and ::test mean what they say
  std::optional<SizeQuantiles> sizes;       // of all photos
  std::vector<std::int32_t> sample;         // thumbnails of the grid
  std::vector<std::uint16_t> sample_group;  // their classes, or empty

  std::optional<ReportEvaluation> evaluation;
  std::vector<ReportMistake> mistakes;
  std::uint64_t mistakes_total = 0;  // of which `mistakes` shows the most confident
  std::vector<StoragePoint> storage;
  std::optional<StorageBasis> storage_basis;
  std::vector<CostLine> cost;
  std::string cost_note;
};

}  // namespace pomona
