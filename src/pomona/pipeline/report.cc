// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/report.h"

#include <utility>
#include <vector>

#include "pomona/base/cpu.h"
#include "pomona/learn/kmeans.h"
#include "pomona/report/collect.h"
#include "pomona/report/render.h"
#include "pomona/storage/store.h"

namespace pomona {

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
  const std::string html = render_report(collect_report(collect, hooks, std::move(stop)));
  const Store place = Store::open(options.dest);
  place.write("report.html", html);
  return place.uri() + "/report.html";
}

}  // namespace pomona
