// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/render.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/report/template.h"

namespace pomona {
namespace {

using nlohmann::json;

// The page reads typed arrays as the machine of the reader lays them out: little-endian everywhere today.
static_assert(std::endian::native == std::endian::little);

std::string base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  const auto at = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned three = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    text += kAlphabet[three >> 18];
    text += kAlphabet[three >> 12 & 63];
    text += i + 1 < bytes.size() ? kAlphabet[three >> 6 & 63] : '=';
    text += i + 2 < bytes.size() ? kAlphabet[three & 63] : '=';
  }
  return text;
}

template <typename T>
std::string base64_of(const std::vector<T>& values) {
  return base64({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      case '\0':
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// JSON that may stand inside <script>: no "<", hence neither "</script>" nor "<!--". Bytes that are not
// UTF-8 become U+FFFD.
std::string embeddable(const json& data) {
  const std::string text = data.dump(-1, ' ', false, json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size() + text.size() / 64);
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

void require(bool good, const char* what) {
  if (!good)
    throw Error(ErrorCode::kInternal, fmt::format("The data of the report contradict each other: {}.", what));
}

void check(const ReportData& data) {
  const auto thumbnails = [&](std::span<const std::int32_t> list, bool none_allowed) {
    return std::ranges::all_of(list, [&](std::int32_t i) {
      return (none_allowed && i == kNoThumbnail) ||
             (i >= 0 && static_cast<std::size_t>(i) < data.thumbnails.size());
    });
  };
  if (data.scatter) {
    const ReportScatter& s = *data.scatter;
    require(s.components >= 2 && s.values.size() % static_cast<std::size_t>(s.components) == 0,
            "a scatter needs two components or more, and whole rows");
    require(s.group.empty() || s.group.size() == s.size(), "scatter classes and points differ in number");
    require(std::ranges::all_of(s.group, [&](auto g) { return g == kNoGroup || g < data.classes.size(); }),
            "a point's class is not in the list of classes");
    require(s.cluster.empty() || s.cluster.size() == s.size(),
            "scatter clusters and points differ in number");
    require(s.thumbnail.empty() || s.thumbnail.size() == s.size(),
            "scatter pictures and points differ in number");
    require(thumbnails(s.thumbnail, true), "a point's picture is not there");
  }
  require(thumbnails(data.sample, false), "a sample photo's picture is not there");
  require(data.sample_group.empty() || data.sample_group.size() == data.sample.size(),
          "sample photos and their classes differ in number");
  for (const ComponentEnds& ends : data.component_ends) {
    require(thumbnails(ends.low, false) && thumbnails(ends.high, false),
            "a component's picture is not there");
  }
  for (const ReportMistake& mistake : data.mistakes) {
    require(thumbnails(std::span(&mistake.thumbnail, 1), true), "a mistake's picture is not there");
  }
  if (data.evaluation) {
    const std::size_t c = data.evaluation->classes.size();
    require(data.evaluation->confusion.empty() || data.evaluation->confusion.size() == c * c,
            "the confusion matrix is not classes x classes");
  }
}

bool has_sizes(const ReportData& data) {
  return data.sizes ||
         std::ranges::any_of(data.classes, [](const ReportClass& c) { return c.sizes.has_value(); });
}

bool has_accuracy(const StoragePoint& p) {
  return p.accuracy_f32 || p.accuracy_f16 || p.accuracy_u8;
}

json pairs(const std::vector<std::pair<std::string, std::string>>& list) {
  json out = json::array();
  for (const auto& [name, value] : list) out.push_back({name, value});
  return out;
}

json sizes_json(const SizeQuantiles& s) {
  return {{"min", s.minimum}, {"q1", s.lower}, {"median", s.median}, {"q3", s.upper}, {"max", s.maximum}};
}

// JSON knows neither NaN nor infinity.
double finite(double x) {
  return std::isfinite(x) ? x : 0;
}

json timeline_json(const std::vector<TimelineSpan>& spans) {
  std::vector<std::string> stages;
  std::vector<std::string> lanes;
  std::map<std::string, std::size_t> stage_index;
  std::map<std::string, std::size_t> lane_index;
  const auto index = [](auto& map, auto& names, const std::string& name) {
    const auto [at, is_new] = map.try_emplace(name, names.size());
    if (is_new) names.push_back(name);
    return at->second;
  };
  json list = json::array();
  for (const TimelineSpan& span : spans) {
    const double begin = std::max(0.0, finite(span.begin));
    list.push_back({index(stage_index, stages, span.stage), index(lane_index, lanes, span.lane), begin,
                    std::max(begin, finite(span.end))});
  }
  return {{"stages", stages}, {"lanes", lanes}, {"spans", std::move(list)}};
}

// 16 bits a coordinate: finer than any screen, half the size of floats.
json scatter_json(const ReportScatter& s) {
  const auto c = static_cast<std::size_t>(s.components);
  std::vector<float> low(c, std::numeric_limits<float>::infinity());
  std::vector<float> high(c, -std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < s.values.size(); ++i) {
    if (!std::isfinite(s.values[i])) continue;
    low[i % c] = std::min(low[i % c], s.values[i]);
    high[i % c] = std::max(high[i % c], s.values[i]);
  }
  for (std::size_t k = 0; k < c; ++k) {
    if (low[k] > high[k]) low[k] = high[k] = 0;
  }
  std::vector<std::uint16_t> quantized(s.values.size());
  for (std::size_t i = 0; i < s.values.size(); ++i) {
    const double range = static_cast<double>(high[i % c]) - low[i % c];
    const double share =
        std::isfinite(s.values[i]) && range > 0 ? (s.values[i] - static_cast<double>(low[i % c])) / range : 0;
    quantized[i] = static_cast<std::uint16_t>(std::lround(share * 65535));
  }
  json out = {{"components", s.components},
              {"n", s.size()},
              {"total", std::max<std::uint64_t>(s.total, s.size())},
              {"seed", s.seed},
              {"low", low},
              {"high", high},
              {"values", base64_of(quantized)}};
  if (!s.group.empty()) out["group"] = base64_of(s.group);
  if (!s.cluster.empty()) out["cluster"] = base64_of(s.cluster);
  if (!s.thumbnail.empty()) out["thumbnail"] = base64_of(s.thumbnail);
  return out;
}

json evaluation_json(const ReportEvaluation& e) {
  json metrics = json::array();
  for (const ReportMetric& m : e.metrics) {
    json one = {{"name", m.name}, {"value", finite(m.value)}};
    if (m.low) one["low"] = finite(*m.low);
    if (m.high) one["high"] = finite(*m.high);
    metrics.push_back(std::move(one));
  }
  json per_class = json::array();
  for (const ReportClassMetrics& m : e.per_class) {
    per_class.push_back({{"label", m.label},
                         {"precision", finite(m.precision)},
                         {"recall", finite(m.recall)},
                         {"f1", finite(m.f1)},
                         {"support", m.support}});
  }
  json out = {{"classifier", e.classifier},    {"photos", e.photos},   {"split", e.split},
              {"metrics", std::move(metrics)}, {"classes", e.classes}, {"perClass", std::move(per_class)}};
  if (!e.confusion.empty()) {
    std::vector<std::uint32_t> counts;
    counts.reserve(e.confusion.size());
    for (const std::uint64_t n : e.confusion) {
      counts.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(n, 0xFFFFFFFF)));
    }
    out["confusion"] = base64_of(counts);
  }
  return out;
}

json storage_json(const std::vector<StoragePoint>& points) {
  json out = json::array();
  for (const StoragePoint& p : points) {
    if (!has_accuracy(p)) continue;
    json accuracy = json::object();
    if (p.accuracy_f32) accuracy["f32"] = finite(*p.accuracy_f32);
    if (p.accuracy_f16) accuracy["f16"] = finite(*p.accuracy_f16);
    if (p.accuracy_u8) accuracy["u8"] = finite(*p.accuracy_u8);
    out.push_back({{"k", p.k},
                   {"accuracy", std::move(accuracy)},
                   {"bytes", {{"f32", p.bytes_f32}, {"f16", p.bytes_f16}, {"u8", p.bytes_u8}}}});
  }
  return out;
}

// The parts about the photos themselves.
void add_photos(const ReportData& data, json& out) {
  json thumbnails = json::array();
  for (const Thumbnail& t : data.thumbnails) {
    thumbnails.push_back({{"path", t.path}, {"jpeg", base64(t.jpeg)}, {"w", t.width}, {"h", t.height}});
  }
  out["thumbnails"] = std::move(thumbnails);
  if (data.scatter) out["scatter"] = scatter_json(*data.scatter);
  if (!data.component_ends.empty()) {
    json ends = json::array();
    for (const ComponentEnds& e : data.component_ends) {
      ends.push_back({{"index", e.index}, {"share", finite(e.share)}, {"low", e.low}, {"high", e.high}});
    }
    out["ends"] = std::move(ends);
  }
  if (!data.classes.empty()) {
    json classes = json::array();
    for (const ReportClass& c : data.classes) {
      json one = {{"name", c.name}, {"train", c.train}, {"test", c.test}};
      if (c.sizes) one["sizes"] = sizes_json(*c.sizes);
      classes.push_back(std::move(one));
    }
    out["classes"] = std::move(classes);
    out["split"] = data.has_split;
  }
  if (data.sizes) out["sizes"] = sizes_json(*data.sizes);
  if (!data.sample.empty()) out["sample"] = data.sample;
  if (!data.sample_group.empty()) out["sampleGroup"] = data.sample_group;
}

// The parts about the run.
void add_run(const ReportData& data, json& out) {
  out["run"] = {{"command", data.run.command},          {"started", data.run.started},
                {"seconds", finite(data.run.seconds)},  {"facts", pairs(data.run.facts)},
                {"versions", pairs(data.run.versions)}, {"options", pairs(data.run.options)}};
  if (!data.timeline.empty()) out["timeline"] = timeline_json(data.timeline);
  if (!data.stage_seconds.empty()) {
    json list = json::array();
    for (const StageSeconds& s : data.stage_seconds)
      list.push_back({s.stage, std::max(0.0, finite(s.seconds))});
    out["stageSeconds"] = std::move(list);
  }
  if (data.counts) {
    out["counts"] = {{"listed", data.counts->listed},
                     {"written", data.counts->written},
                     {"rejected", data.counts->rejected}};
  }
  if (!data.rejects.empty()) {
    json list = json::array();
    for (const RejectGroup& g : data.rejects) {
      list.push_back(
          {{"stage", g.stage}, {"reason", g.reason}, {"count", g.count}, {"examples", g.examples}});
    }
    out["rejects"] = std::move(list);
  }
  if (!data.cost.empty()) {
    json list = json::array();
    for (const CostLine& line : data.cost) {
      list.push_back({{"what", line.what}, {"amount", line.amount}, {"note", line.note}});
    }
    out["cost"] = std::move(list);
    out["costNote"] = data.cost_note;
  }
}

json to_report_json(const ReportData& data) {
  json out = {{"sections", report_sections(data)},
              {"title", data.title},
              {"subtitle", data.subtitle},
              {"generated", data.generated},
              {"version", data.version}};
  if (!data.warnings.empty()) out["warnings"] = data.warnings;
  add_photos(data, out);
  add_run(data, out);
  if (!data.spectrum.empty()) {
    json values = json::array();
    for (const double v : data.spectrum) values.push_back(static_cast<float>(finite(v)));
    out["spectrum"] = std::move(values);
  }
  if (data.kept_components > 0) out["kept"] = data.kept_components;
  if (data.evaluation) out["evaluation"] = evaluation_json(*data.evaluation);
  if (!data.mistakes.empty()) {
    json list = json::array();
    for (const ReportMistake& m : data.mistakes) {
      list.push_back({{"thumbnail", m.thumbnail},
                      {"path", m.path},
                      {"label", m.label},
                      {"predicted", m.predicted},
                      {"probability", finite(m.probability)}});
    }
    out["mistakes"] = std::move(list);
    out["mistakesTotal"] = std::max<std::uint64_t>(data.mistakes_total, data.mistakes.size());
  }
  if (json storage = storage_json(data.storage); !storage.empty()) out["storage"] = std::move(storage);
  if (data.storage_basis) {
    const StorageBasis& b = *data.storage_basis;
    out["storageBasis"] = {{"head", b.head},
                           {"split", b.split},
                           {"trained", b.trained},
                           {"judged", b.judged},
                           {"dimension", b.dimension}};
  }
  return out;
}

// What a reader without JavaScript gets.
std::string summary(const ReportData& data) {
  std::string text = data.subtitle;
  const auto add = [&](const std::string& sentence) { text += (text.empty() ? "" : ". ") + sentence; };
  if (data.counts) {
    add(fmt::format("{} photos found, {} used, {} rejected", human_count(data.counts->listed),
                    human_count(data.counts->written), human_count(data.counts->rejected)));
  }
  if (data.evaluation) {
    for (const ReportMetric& m : data.evaluation->metrics)
      add(fmt::format("{}: {:.2f} %", m.name, 100 * m.value));
  }
  return text;
}

}  // namespace

std::vector<std::string> report_sections(const ReportData& data) {
  const bool timed = !data.timeline.empty() || !data.stage_seconds.empty();
  const bool detailed = !data.run.command.empty() || !data.run.facts.empty() || !data.run.versions.empty() ||
                        !data.run.options.empty();
  const std::pair<const char*, bool> parts[] = {
      {"overview", true},
      {"scatter", data.scatter && data.scatter->size() > 0},
      {"confusion", data.evaluation && !data.evaluation->confusion.empty()},
      {"per-class", data.evaluation && !data.evaluation->per_class.empty()},
      {"mistakes", !data.mistakes.empty()},
      {"spectrum", data.spectrum.size() > 1 && data.spectrum[0] > 0},
      {"components", !data.component_ends.empty()},
      {"storage", std::ranges::any_of(data.storage, has_accuracy)},
      {"classes", !data.classes.empty()},
      {"sizes", has_sizes(data)},
      {"rejects", data.counts.has_value()},
      {"run", timed},
      {"cost", !data.cost.empty()},
      {"details", detailed},
  };
  std::vector<std::string> sections;
  for (const auto& [name, there] : parts) {
    if (there) sections.emplace_back(name);
  }
  return sections;
}

std::string render_report(const ReportData& data) {
  check(data);
  std::string page;
  for (const std::string_view piece : report_template()) page += piece;
  const std::map<std::string_view, std::string> places = {
      {"title", escape_html(data.title)},
      {"sections", fmt::format("{}", fmt::join(report_sections(data), ","))},
      {"summary", escape_html(summary(data))},
      {"data", embeddable(to_report_json(data))},
  };
  // One pass over the template alone: what is put in is never looked at for places again.
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t open = page.find("{{", at);
    const std::size_t close = open == std::string::npos ? open : page.find("}}", open);
    if (close == std::string::npos) break;
    const auto place = places.find(std::string_view(page).substr(open + 2, close - open - 2));
    if (place == places.end()) {
      out.append(page, at, open + 2 - at);
      at = open + 2;
      continue;
    }
    out.append(page, at, open - at);
    out += place->second;
    at = close + 2;
  }
  out.append(page, at);
  return out;
}

}  // namespace pomona
