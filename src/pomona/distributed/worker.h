// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

namespace pomona::distributed {

// What one process of an executor does of a job: it opens the network once, and keeps connections, the PCA
// and the rows of earlier runs between tasks. Every task may run again, elsewhere, or twice at a time: what
// it writes lies below `_temporary/<run id>/` under a name of its own until the driver publishes it. One task
// at a time.
class Worker {
 public:
  // `shipment` is plan_shipment() without its files, which lie below `folder`. `threads` cores are used.
  Worker(const nlohmann::json& shipment, const std::string& folder, int threads);
  ~Worker();

  // Opens the network. {"fingerprint", "d", "preprocess", "machine"}, and, with `head`, which also looks at
  // the first photos, {"header", "schema", "photos_per_part"}.
  nlohmann::json prepare(bool head);
  // See list_unit().
  nlohmann::json list(const std::string& run_id, const nlohmann::json& unit);
  // Photos of one part -> the part, its rejects, its moments. `task`: {"run_id", "schema", "fingerprint",
  // "known": whether there are earlier parts (plan.json), "part": see cut_parts()}. {"record", "staged"
  // (folder; "" = an earlier part that stays), "moments" (file), "computed", "identical", "reused",
  // "reasons", "stages", "late_split"}. Throws Error{kMismatch} where this machine would make other vectors.
  nlohmann::json featurize(const nlohmann::json& task);
  // Moments of a part that stands: {"place", "run_id", "schema", "record"} -> {"index", "moments", "rows"}.
  nlohmann::json part_moments(const nlohmann::json& task);
  // Components of a part that stands: {"run_id", "schema", "record"} -> {"record", "staged"}. The PCA is
  // `_temporary/<run id>/pca.bin` of the reduced dataset.
  nlohmann::json reduce(const nlohmann::json& task);
  // Model, evaluation and report, as the job asks: {"model", "evaluation", "report", "notes", "warnings"}.
  nlohmann::json conclude();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pomona::distributed
