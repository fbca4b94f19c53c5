// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/records.h"

#include <algorithm>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

using nlohmann::json;

constexpr std::size_t kMostSpans = 4000;
constexpr std::size_t kMostConfusionClasses = 512;
constexpr std::size_t kMostGroups = 30;
constexpr std::size_t kMostExamples = 5;

const json& at(const json& object, const char* key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::optional<double> number(const json& object, const char* key) {
  const json& value = at(object, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::uint64_t count(const json& object, const char* key) {
  const auto value = number(object, key);
  return value && *value >= 0 && *value < 9e15 ? static_cast<std::uint64_t>(*value) : 0;
}

std::string text(const json& object, const char* key) {
  const json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// For people: strings as they are, the rest as JSON.
std::string shown(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Quoted for a shell where it has to be.
std::string shell_word(const std::string& word) {
  static constexpr char kPlain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./-_";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string joined(const json& words) {
  std::string line;
  for (const json& word : words)
    line += (line.empty() ? "" : " ") + shell_word(without_credentials(shown(word)));
  return line;
}

// The words of a command line, or an object that holds them.
std::string command_line(const json& invocation) {
  if (invocation.is_array()) return joined(invocation);
  for (const char* key : {"command", "command_line", "argv", "arguments"}) {
    const json& value = at(invocation, key);
    if (value.is_string()) return without_credentials(value.get<std::string>());
    if (value.is_array()) return joined(value);
  }
  return {};
}

void add_options(const json& invocation, ReportRun& run) {
  const json& options = at(invocation, "options").is_object() ? at(invocation, "options") : invocation;
  if (!options.is_object()) return;
  for (const auto& [name, value] : options.items()) {
    if (name == "command" || name == "command_line" || name == "argv" || name == "arguments" ||
        value.is_null())
      continue;
    if (value.is_object() || value.is_array()) continue;
    run.options.emplace_back(name, without_credentials(shown(value)));
  }
}

void add_facts(const json& record, ReportRun& run) {
  const auto fact = [&](const char* name, std::string value) {
    if (!value.empty()) run.facts.emplace_back(name, std::move(value));
  };
  const json& fingerprint = at(record, "fingerprint");
  const json& preprocess = at(record, "preprocess");
  const auto width = number(preprocess, "width");
  const auto height = number(preprocess, "height");
  std::string network = text(record, "model");
  if (width && height)
    network += fmt::format("{}{:.0f} × {:.0f} pixels", network.empty() ? "" : ", ", *width, *height);
  fact("Network", network);
  if (const auto d = number(at(record, "schema"), "d")) fact("Features per photo", fmt::format("{:.0f}", *d));
  fact("Precision", text(fingerprint, "precision"));
  if (const auto copies = number(at(record, "counts"), "identical"); copies && *copies >= 1)
    fact("Photos with another's bytes", fmt::format("{:.0f}, each computed with its twin", *copies));
  fact("Fingerprint", text(fingerprint, "identity_hash").substr(0, 16));
  const json& machine = at(record, "machine");
  const auto threads = number(machine, "threads");
  std::string where = text(machine, "cpu");
  if (threads)
    where += fmt::format("{}{:.0f} thread{}", where.empty() ? "" : ", ", *threads, *threads == 1 ? "" : "s");
  fact("Machine", where);
  fact("Finished", text(record, "finished"));
  fact("Run", text(record, "run_id"));
}

void add_versions(const json& record, ReportRun& run) {
  const json& machine = at(record, "machine");
  if (const std::string own = text(machine, "pomona"); !own.empty()) run.versions.emplace_back("Pomona", own);
  for (const json* from : {&at(record, "versions"), &at(machine, "versions")}) {
    if (!from->is_object()) continue;
    for (const auto& [name, version] : from->items()) run.versions.emplace_back(name, shown(version));
  }
}

void add_stages(const json& record, ReportData& data) {
  const json& stages = at(record, "stages");
  if (!stages.is_object()) return;
  for (const auto& [name, seconds] : stages.items()) {
    if (!seconds.is_number()) continue;
    const auto same = std::ranges::find(data.stage_seconds, name, &StageSeconds::stage);
    if (same == data.stage_seconds.end()) {
      data.stage_seconds.push_back({name, seconds.get<double>()});
    } else {
      same->seconds += seconds.get<double>();
    }
  }
}

std::vector<TimelineSpan> timeline(const json& record, double offset) {
  std::vector<TimelineSpan> spans;
  const json& list = at(record, "timeline");
  if (!list.is_array()) return spans;
  for (const json& span : list) {
    const auto begin = number(span, "begin");
    const auto end = number(span, "end");
    if (!begin || !end || *end < *begin || text(span, "stage").empty()) continue;
    const json& lane = at(span, "lane");
    spans.push_back({text(span, "stage"),
                     lane.is_null()     ? "job"
                     : lane.is_number() ? fmt::format("lane {}", lane.dump())
                                        : shown(lane),
                     offset + *begin, offset + *end});
    if (spans.size() == kMostSpans) break;
  }
  return spans;
}

// A timeline of one lane alone says the most with a row for each stage.
void spread_single_lane(std::vector<TimelineSpan>& spans) {
  const bool single =
      std::ranges::all_of(spans, [&](const TimelineSpan& s) { return s.lane == spans.front().lane; });
  if (!single) return;
  for (TimelineSpan& span : spans) span.lane = span.stage;
}

void add_warnings(const json& record, ReportData& data) {
  const json& list = at(record, "warnings");
  if (!list.is_array()) return;
  for (const json& warning : list) {
    if (data.warnings.size() < 50) data.warnings.push_back(shown(warning));
  }
}

// "Ends 312 bytes early" and "Ends 7 bytes early" are one reason.
std::string without_numbers(const std::string& reason) {
  std::string out;
  bool in_number = false;
  for (const char c : reason) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit) out += c;
    if (digit && !in_number) out += 'N';
    in_number = digit;
  }
  return out;
}

void add_per_class(const json& list, ReportEvaluation& evaluation) {
  if (!list.is_array()) return;
  for (const json& one : list) {
    if (!at(one, "label").is_string()) continue;
    evaluation.per_class.push_back({text(one, "label"), number(one, "precision").value_or(0),
                                    number(one, "recall").value_or(0), number(one, "f1").value_or(0),
                                    count(one, "support")});
  }
}

void add_confusion(const json& record, ReportEvaluation& evaluation) {
  const json& classes = at(record, "classes");
  const json& rows = at(record, "confusion");
  if (!classes.is_array()) return;
  for (const json& name : classes) evaluation.classes.push_back(shown(name));
  const std::size_t c = evaluation.classes.size();
  if (!rows.is_array() || rows.size() != c || c == 0 || c > kMostConfusionClasses) return;
  std::vector<std::uint64_t> counts;
  for (const json& row : rows) {
    if (!row.is_array() || row.size() != c) return;
    for (const json& cell : row) {
      if (!cell.is_number() || cell.get<double>() < 0) return;
      counts.push_back(static_cast<std::uint64_t>(std::min(cell.get<double>(), 4e9)));
    }
  }
  evaluation.confusion = std::move(counts);
}

void add_mistakes(const json& list, std::size_t most, ReportData& data) {
  if (!list.is_array()) return;
  std::vector<ReportMistake> mistakes;
  for (const json& one : list) {
    if (!at(one, "path").is_string()) continue;
    mistakes.push_back({kNoThumbnail, text(one, "path"), text(one, "label"), text(one, "predicted"),
                        number(one, "probability").value_or(0)});
  }
  std::ranges::sort(mistakes, [](const ReportMistake& a, const ReportMistake& b) {
    return std::tie(b.probability, a.path) < std::tie(a.probability, b.path);
  });
  data.mistakes_total = std::max<std::uint64_t>(data.mistakes_total, mistakes.size());
  if (mistakes.size() > most) mistakes.resize(most);
  data.mistakes = std::move(mistakes);
}

void add_storage(const json& list, ReportData& data) {
  if (!list.is_array()) return;
  for (const json& one : list) {
    const auto k = number(one, "k");
    if (!k || *k < 1 || *k > 1e6) continue;
    StoragePoint point;
    point.k = static_cast<int>(*k);
    point.accuracy_f32 = number(one, "accuracy_f32");
    if (!point.accuracy_f32) point.accuracy_f32 = number(one, "accuracy");
    point.accuracy_f16 = number(one, "accuracy_f16");
    point.accuracy_u8 = number(one, "accuracy_u8");
    point.bytes_f32 = std::max(1.0, number(one, "bytes_f32").value_or(4 * *k));
    point.bytes_f16 = std::max(1.0, number(one, "bytes_f16").value_or(2 * *k));
    point.bytes_u8 = std::max(1.0, number(one, "bytes_u8").value_or(*k));
    data.storage.push_back(point);
  }
}

void add_storage_basis(const json& by, ReportData& data) {
  if (data.storage.empty() || !by.is_object() || count(by, "judged") == 0) return;
  StorageBasis basis;
  basis.head = text(by, "head");
  basis.split = text(by, "split");
  basis.trained = count(by, "trained");
  basis.judged = count(by, "judged");
  basis.dimension = static_cast<int>(std::clamp(number(by, "dimension").value_or(0), 0.0, 1e6));
  data.storage_basis = std::move(basis);
}

}  // namespace

void add_run_record(const json& run, ReportData& data) {
  const json& invocation = at(run, "invocation");
  data.run.command = command_line(invocation);
  data.run.seconds = number(run, "seconds").value_or(0);
  data.run.started = text(run, "started");
  add_facts(run, data.run);
  add_options(invocation, data.run);
  add_versions(run, data.run);
  add_warnings(run, data);
  add_stages(run, data);
  data.timeline = timeline(run, 0);
  spread_single_lane(data.timeline);
  if (const json& counts = at(run, "counts"); counts.is_object() && at(counts, "listed").is_number()) {
    data.counts = ReportCounts{count(counts, "listed"), count(counts, "written"), count(counts, "rejected")};
  }
  if (const json& reasons = at(run, "reject_reasons"); reasons.is_object()) {
    std::vector<RejectGroup> groups;
    for (const auto& [reason, n] : reasons.items()) {
      const std::size_t colon = reason.find(": ");
      if (!n.is_number_unsigned() || colon == std::string::npos) continue;
      groups.push_back({reason.substr(0, colon), reason.substr(colon + 2), n.get<std::uint64_t>(), {}});
    }
    data.rejects = group_rejects(std::move(groups));
  }
}

void add_later_step(const json& run, const std::string& name, ReportData& data) {
  double end = data.run.seconds;
  for (const TimelineSpan& span : data.timeline) end = std::max(end, span.end);
  const double seconds = number(run, "seconds").value_or(0);
  add_stages(run, data);
  add_warnings(run, data);
  std::vector<TimelineSpan> spans = timeline(run, end);
  if (spans.empty() && seconds > 0 && !data.timeline.empty())
    spans.push_back({name, name, end, end + seconds});
  if (!spans.empty()) spread_single_lane(spans);
  data.timeline.insert(data.timeline.end(), spans.begin(), spans.end());
  data.run.seconds += seconds;
}

void add_evaluation(const json& evaluation, std::size_t most_mistakes, ReportData& data) {
  if (!evaluation.is_object()) return;
  ReportEvaluation out;
  out.classifier = text(evaluation, "classifier");
  out.photos = count(evaluation, "photos");
  out.split = text(evaluation, "split");
  const auto metric = [&](const char* name, const char* key, const char* low, const char* high) {
    const auto value = number(evaluation, key);
    if (value) out.metrics.push_back({name, *value, number(evaluation, low), number(evaluation, high)});
  };
  metric("Accuracy", "accuracy", "accuracy_low", "accuracy_high");
  metric("Balanced accuracy", "balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high");
  metric("Top-3 accuracy", "top3", "top3_low", "top3_high");
  add_confusion(evaluation, out);
  add_per_class(at(evaluation, "per_class"), out);
  data.mistakes_total = count(evaluation, "mistakes_total");
  add_mistakes(at(evaluation, "mistakes"), most_mistakes, data);
  add_storage(at(evaluation, "components_needed"), data);
  add_storage_basis(at(evaluation, "components_needed_by"), data);
  add_warnings(evaluation, data);
  if (const json& steps = at(evaluation, "steps"); steps.is_array()) {
    for (const json& step : steps) {
      const std::string name = text(step, "stage");
      const double seconds = number(step, "seconds").value_or(0);
      if (name.empty() || !(seconds > 0)) continue;
      const json record = {{"seconds", seconds}, {"stages", {{name, seconds}}}};
      add_later_step(record, name, data);
    }
  }
  data.evaluation = std::move(out);
}

std::vector<RejectGroup> group_rejects(std::vector<RejectGroup> rejects) {
  std::map<std::pair<std::string, std::string>, RejectGroup> groups;
  for (RejectGroup& reject : rejects) {
    const std::string general = without_numbers(reject.reason);
    const auto [place, is_new] = groups.try_emplace({reject.stage, general}, reject);
    if (is_new) continue;
    RejectGroup& group = place->second;
    group.count += reject.count;
    if (group.reason != reject.reason) group.reason = general;
    for (std::string& example : reject.examples) {
      if (group.examples.size() < kMostExamples) group.examples.push_back(std::move(example));
    }
  }
  std::vector<RejectGroup> out;
  for (auto& [key, group] : groups) out.push_back(std::move(group));
  std::ranges::sort(out, [](const RejectGroup& a, const RejectGroup& b) {
    return std::tie(b.count, a.stage, a.reason) < std::tie(a.count, b.stage, b.reason);
  });
  if (out.size() > kMostGroups) {
    std::uint64_t rest = 0;
    for (std::size_t i = kMostGroups - 1; i < out.size(); ++i) rest += out[i].count;
    out.resize(kMostGroups - 1);
    out.push_back({"", "Other reasons", rest, {}});
  }
  return out;
}

}  // namespace pomona
