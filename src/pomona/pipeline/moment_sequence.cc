// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/moment_sequence.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"

namespace pomona {
namespace {

// Above this width the marked copy costs more memory than reading the features again costs time.
constexpr int kWidestMarked = 4096;

// One digest for a run of parts.
std::string digest_of(std::span<const PartRecord> parts) {
  std::string all;
  for (const PartRecord& part : parts) all += part.sha256 + "\n";
  return sha256_hex(all);
}

class Clock {
 public:
  explicit Clock(double& seconds) : seconds_(seconds) {}
  ~Clock() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

void add_part(Moments& moments, const Store& dest, const Schema& schema, const PartRecord& part, int threads,
              const std::stop_token& stop) {
  if (part.rows == 0) return;
  const auto groups = part.extra.is_object() ? part.extra.value("groups", std::vector<std::size_t>{})
                                             : std::vector<std::size_t>{};
  const auto d = static_cast<std::size_t>(schema.d);
  std::vector<float> rows;
  std::size_t group = 0;
  const DatasetReader reader = DatasetReader::open_parts(dest, schema, {part});
  const auto sink = [&](Block&& block) {
    if (groups.empty()) {
      // Someone else's part, without a record of its blocks: they are its row groups.
      moments.add(block.vectors, block.rows.size(), threads);
      return !stop.stop_requested();
    }
    if (rows.empty()) {
      rows = std::move(block.vectors);
    } else {
      rows.insert(rows.end(), block.vectors.begin(), block.vectors.end());
    }
    std::size_t taken = 0;
    while (group < groups.size() && rows.size() - taken >= groups[group] * d) {
      moments.add(std::span(rows).subspan(taken, groups[group] * d), groups[group], threads);
      taken += groups[group++] * d;
    }
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(taken));
    return !stop.stop_requested();
  };
  reader.read_part(0, true, sink, threads);
  if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped while " + dest.uri() + " was read");
  if (group != groups.size() || !rows.empty()) {
    throw Error(ErrorCode::kFormat, dest.uri() + "/" + part.file + " does not hold the " +
                                        std::to_string(part.rows) +
                                        " rows recorded for it. Remove it and run again with --resume.");
  }
}

MomentSequence::MomentSequence(const Store& dest, const Schema& schema, const nlohmann::json& old_run,
                               int threads, std::stop_token stop)
    : dest_(dest), schema_(schema), threads_(threads), stop_(std::move(stop)), moments_(schema.d) {
  if (old_run.is_object() && old_run.contains("moments")) saved_ = old_run.at("moments");
}

void MomentSequence::add(const Block& block) {
  flush();
  keep_marked();
  const Clock clock(seconds_);
  if (!block.rows.empty()) moments_.add(block.vectors, block.rows.size());
}

void MomentSequence::add_kept(const PartRecord& part) {
  // Held back: a saved sum may cover exactly the first of them.
  if (!begun_) {
    deferred_.push_back(part);
  } else {
    read_back(part);
  }
}

void MomentSequence::flush() {
  if (begun_) return;
  begun_ = true;
  begin_with_saved();
  for (const PartRecord& part : std::exchange(deferred_, {})) read_back(part);
}

void MomentSequence::begin_with_saved() {
  if (!saved_.is_object()) return;
  const auto count = saved_.value("parts", std::uint64_t{0});
  if (count == 0 || count > deferred_.size() ||
      digest_of(std::span(deferred_).first(count)) != saved_.value("digest", "")) {
    return;
  }
  try {
    const std::string bytes = dest_.read(kFile);
    // A run that died before its record was written has left its own sums here.
    if (saved_.value("sha256", "") != sha256_hex(bytes) && saved_.contains("sha256")) return;
    Moments saved = Moments::deserialize(bytes);
    std::uint64_t rows = 0;
    for (const PartRecord& part : std::span(deferred_).first(count)) rows += part.rows;
    if (saved.d() != moments_.d() || saved.n() != rows) return;
    moments_ = std::move(saved);
    resumed_ = true;
    deferred_.erase(deferred_.begin(), deferred_.begin() + static_cast<std::ptrdiff_t>(count));
  } catch (const Error&) {
    // A lost or damaged sum costs time only: the features it came from are read again.
    moments_ = Moments(schema_.d);
  }
}

void MomentSequence::read_back(const PartRecord& part) {
  const bool whole = part.extra.is_object() && part.extra.value("whole", false);
  if (!whole) keep_marked();
  const Clock clock(seconds_);
  add_part(moments_, dest_, schema_, part, threads_, stop_);
  if (whole) mark(part.index + 1);
}

void MomentSequence::mark(std::uint64_t parts) {
  if (schema_.d > kWidestMarked) return;
  flush();
  marked_parts_ = parts;
  marked_.reset();
}

void MomentSequence::keep_marked() {
  if (marked_parts_ != 0 && !marked_) marked_ = moments_;
}

nlohmann::json MomentSequence::save(const std::vector<PartRecord>& records) {
  flush();
  if (marked_parts_ == 0) return resumed_ ? saved_ : nlohmann::json();
  if (marked_parts_ > records.size()) return nullptr;
  const std::string bytes = (marked_ ? *marked_ : moments_).serialize();
  dest_.write(kFile, bytes);
  return {{"file", kFile},
          {"sha256", sha256_hex(bytes)},
          {"parts", marked_parts_},
          {"digest", digest_of(std::span(records).first(marked_parts_))}};
}

Moments MomentSequence::take() {
  flush();
  return std::move(moments_);
}

}  // namespace pomona
