// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace pomona::server {

void Metrics::describe(const std::string& name, const std::string& type, const std::string& help,
                       std::vector<double> bounds) {
  const std::lock_guard lock(mutex_);
  families_[name] = {type, help, std::move(bounds), {}};
}

void Metrics::describe_counter(const std::string& name, const std::string& help) {
  describe(name, "counter", help, {});
}
void Metrics::describe_gauge(const std::string& name, const std::string& help) {
  describe(name, "gauge", help, {});
}
void Metrics::describe_histogram(const std::string& name, const std::string& help,
                                 std::vector<double> bounds) {
  describe(name, "histogram", help, std::move(bounds));
}

void Metrics::add(const std::string& name, const std::string& labels, double value) {
  const std::lock_guard lock(mutex_);
  families_.at(name).series[labels].value += value;
}

void Metrics::set(const std::string& name, double value, const std::string& labels) {
  const std::lock_guard lock(mutex_);
  families_.at(name).series[labels].value = value;
}

void Metrics::observe(const std::string& name, double value, const std::string& labels) {
  const std::lock_guard lock(mutex_);
  Family& family = families_.at(name);
  Series& series = family.series[labels];
  series.buckets.resize(family.bounds.size() + 1);
  const auto bound = std::ranges::lower_bound(family.bounds, value);
  ++series.buckets[static_cast<std::size_t>(bound - family.bounds.begin())];
  series.value += value;
}

double Metrics::total(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  double sum = 0;
  for (const auto& [labels, series] : families_.at(name).series) sum += series.value;
  return sum;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  const auto line = [&](const std::string& name, const std::string& labels, const auto& value) {
    out += labels.empty() ? fmt::format("{} {}\n", name, value)
                          : fmt::format("{}{{{}}} {}\n", name, labels, value);
  };
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, series] : family.series) {
      if (family.type != "histogram") {
        line(name, labels, series.value);
        continue;
      }
      const std::string comma = labels.empty() ? "" : labels + ",";
      std::uint64_t count = 0;
      for (std::size_t i = 0; i < series.buckets.size(); ++i) {
        count += series.buckets[i];
        const std::string bound = i < family.bounds.size() ? fmt::format("{}", family.bounds[i]) : "+Inf";
        line(name + "_bucket", comma + "le=\"" + bound + "\"", count);
      }
      line(name + "_sum", labels, series.value);
      line(name + "_count", labels, count);
    }
  }
  return out;
}

std::string Metrics::label(std::string_view name, std::string_view value) {
  std::string out = std::string(name) + "=\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace pomona::server
