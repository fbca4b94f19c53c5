// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/run_record.h"

#include <arrow/config.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#include "pomona/base/cpu.h"
#include "pomona/learn/onedal_version.h"
#include "pomona/model/openvino_version.h"

namespace pomona {
namespace {

constexpr std::size_t kMostSamples = 400;

double milliseconds(double seconds) {
  return std::round(seconds * 1000) / 1000;
}

}  // namespace

void RunRecord::begin(const std::string& stage, double seconds) {
  spans_.push_back({stage, seconds, -1});
}

void RunRecord::end(const std::string& stage, double seconds) {
  const auto at = std::find_if(spans_.rbegin(), spans_.rend(),
                               [&](const Span& s) { return s.stage == stage && s.end < 0; });
  if (at != spans_.rend()) at->end = seconds;
}

void RunRecord::sample(double seconds, std::uint64_t done) {
  if (!samples_.empty() && seconds - samples_.back().first < spacing_) return;
  samples_.emplace_back(seconds, done);
  if (samples_.size() < kMostSamples) return;
  for (std::size_t i = 0; 2 * i < samples_.size(); ++i) samples_[i] = samples_[2 * i];
  samples_.resize((samples_.size() + 1) / 2);
  spacing_ *= 2;
}

nlohmann::json RunRecord::timeline() const {
  nlohmann::json spans = nlohmann::json::array();
  for (const Span& span : spans_) {
    spans.push_back({{"stage", span.stage},
                     {"begin", milliseconds(span.begin)},
                     {"end", milliseconds(span.end < 0 ? span.begin : span.end)},
                     {"lane", 0}});
  }
  return spans;
}

nlohmann::json RunRecord::rate() const {
  nlohmann::json samples = nlohmann::json::array();
  for (const auto& [seconds, done] : samples_) samples.push_back({milliseconds(seconds), done});
  return samples;
}

nlohmann::json machine_record() {
  const CpuFeatures cpu = cpu_features();
  return {{"pomona", POMONA_VERSION},
          {"cpu", cpu.name},
          {"threads", cpu_budget()},
          {"bf16", cpu.bf16()},
          {"versions",
           {{"OpenVINO", openvino_version()},
            {"Arrow", arrow::GetBuildInfo().version_string},
            {"oneDAL", onedal_version()}}}};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

}  // namespace pomona
