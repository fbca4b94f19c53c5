// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/learn/moments.h"
#include "pomona/storage/dataset.h"

namespace pomona {

// Adds the rows of one part, read from its file, block by block as they were written: the same sums as when
// they were made, whatever the number of `threads`. Throws Error{kFormat} where the file does not hold what
// its record says, Error{kCancelled} on stop.
void add_part(Moments& moments, const Store& dest, const Schema& schema, const PartRecord& part,
              int threads = 1, const std::stop_token& stop = {});

// Sums a dataset's moments block by block, in the order of its rows, so that the last bits depend on the rows
// alone. Parts that an earlier run left are read back, or, where they are the very parts a saved snapshot
// covers, taken from that. Calls must come in order; not thread-safe. All throw as add_part() does.
class MomentSequence {
 public:
  static constexpr const char* kFile = "_moments.bin";  // below the dataset's folder

  // `old_run` is the `_run.json` of the dataset that stood there before, or null. `threads` read parts back.
  MomentSequence(const Store& dest, const Schema& schema, const nlohmann::json& old_run, int threads = 1,
                 std::stop_token stop = {});

  void add(const Block& block);
  void add_kept(const PartRecord& part);
  // The sums so far are those of the first `parts` parts, whole ones: what a later run can begin with.
  void mark(std::uint64_t parts);

  // Writes the marked sums beside the parts; what to record about them in `_run.json`.
  nlohmann::json save(const std::vector<PartRecord>& records);
  Moments take();  // the sums of all; nothing may be asked afterwards
  double seconds() const { return seconds_; }

 private:
  void flush();
  void begin_with_saved();
  void read_back(const PartRecord& part);
  void keep_marked();

  Store dest_;
  Schema schema_;
  int threads_;
  std::stop_token stop_;
  nlohmann::json saved_;  // what `_run.json` says about an earlier snapshot
  Moments moments_;
  std::vector<PartRecord> deferred_;
  bool begun_ = false;
  bool resumed_ = false;  // began with the saved sums
  std::uint64_t marked_parts_ = 0;
  std::optional<Moments> marked_;  // of the marked parts, once rows of others were added
  double seconds_ = 0;
};

}  // namespace pomona
