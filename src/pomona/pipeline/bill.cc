// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/bill.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "pomona/base/text.h"

namespace pomona {
namespace {

constexpr double kPhotosPerPart = 8192;
constexpr const char* kWorkerStages[] = {"decode", "resize", "featurize", "hash", "assemble", "wait"};

double price(const nlohmann::json& prices, const char* group, const char* key) {
  const auto at = prices.find(group);
  if (at == prices.end() || !at->is_object()) return 0;
  const auto value = at->find(key);
  return value != at->end() && value->is_number() ? value->get<double>() : 0;
}

std::string text(const nlohmann::json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_string() ? value->get<std::string>() : std::string();
}

double number(const nlohmann::json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_number() ? value->get<double>() : 0;
}

}  // namespace

nlohmann::json bill_for(const Workload& work, const nlohmann::json& prices) {
  if (!prices.is_object()) return nullptr;
  const nlohmann::json machine = prices.value("machine", nlohmann::json::object());
  const double vcpus = std::max(1.0, price(prices, "machine", "vcpus"));
  const double machine_hours = work.thread_seconds / vcpus / 3600;
  const double parts = std::ceil(work.photos / kPhotosPerPart);
  nlohmann::json bill = {{"currency", text(prices, "currency")},
                         {"as_of", text(prices, "as_of")},
                         {"region", text(prices, "region")},
                         {"machine", machine.is_object() ? text(machine, "name") : ""},
                         {"machine_hours", machine_hours},
                         {"compute_on_demand", machine_hours * price(prices, "machine", "on_demand_hour")},
                         {"compute_spot", machine_hours * price(prices, "machine", "spot_hour")},
                         {"compute_reserved", machine_hours * price(prices, "machine", "reserved_hour")},
                         {"managed_cluster", machine_hours * price(prices, "managed_cluster", "hour")},
                         {"requests", work.photos / 1000 * price(prices, "requests_per_1000", "get") +
                                          work.photos / 1e6 * price(prices, "requests_per_1000", "list") +
                                          2 * parts / 1000 * price(prices, "requests_per_1000", "put")}};
  if (bill.value("currency", "").empty()) bill["currency"] = "USD";
  nlohmann::json storage = nlohmann::json::object();
  if (const auto classes = prices.find("storage_gb_month"); classes != prices.end() && classes->is_object()) {
    for (const auto& [name, cost] : classes->items()) {
      if (!cost.is_number()) continue;
      storage[name] = {{"photos_month", work.source_bytes / 1e9 * cost.get<double>()},
                       {"features_month", work.output_bytes / 1e9 * cost.get<double>()}};
    }
  }
  bill["storage"] = storage;
  return bill;
}

double worker_seconds(const std::map<std::string, double>& stages) {
  double sum = 0;
  for (const char* stage : kWorkerStages) {
    const auto at = stages.find(stage);
    if (at != stages.end()) sum += at->second;
  }
  return sum;
}

std::optional<Pace> pace_of(const nlohmann::json& run) {
  if (!run.is_object()) return {};
  const auto counts = run.find("counts");
  const auto stages = run.find("stages");
  if (counts == run.end() || !counts->is_object() || stages == run.end() || !stages->is_object()) return {};
  double busy = 0;
  for (const char* stage : kWorkerStages) busy += number(*stages, stage);
  const double computed = number(*counts, "computed");
  if (!(computed > 0) || !(busy > 0)) return {};
  Pace pace;
  pace.thread_seconds = busy / computed;
  const double wall = number(run, "seconds") - std::max(0.0, number(run, "first_vector_seconds"));
  pace.wall_seconds = std::max(0.0, wall) / computed;
  return pace;
}

std::string money(double amount, const std::string& currency) {
  std::string digits;
  if (!(amount > 0)) {
    digits = "0";
  } else if (amount < 1e-4) {
    digits = "<0.0001";
  } else if (amount >= 1000) {
    digits = human_count(static_cast<std::uint64_t>(std::llround(std::min(amount, 1e15))));
  } else if (amount >= 1) {
    digits = fmt::format("{:.2f}", amount);
  } else {
    const int decimals = std::max(2, 1 - static_cast<int>(std::floor(std::log10(amount))));
    digits = fmt::format("{:.{}f}", amount, decimals);
  }
  return digits + " " + currency;
}

}  // namespace pomona
