// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/featurize.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/moment_sequence.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/part_sequence.h"
#include "pomona/pipeline/photo_workers.h"
#include "pomona/pipeline/repeated_paths.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/storage/hold_place.h"

namespace pomona {
namespace {

using std::chrono::steady_clock;

// Photos up to this size lose nothing by a network input of the same (docs/decisions/0016).
constexpr int kSmallSide = 128;

// The photos of one part, while it is not clear whether an earlier run's part covers them.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  bool held = false;
  std::vector<Entry> entries;  // of a held range
  ListingDigest digest;
};

class FeaturizeJob {
 public:
  FeaturizeJob(const FeaturizeOptions& options, const Hooks& hooks, std::stop_token stop)
      : options_(options), hooks_(hooks), forward_stop_(std::move(stop), [this] { stop_.request_stop(); }) {}

  FeaturizeResult run();

 private:
  // On the calling thread, which lists.
  void open();
  void begin();
  bool on_photo(Entry&& entry);
  bool route(Entry&& entry);
  bool end_range();
  void load_known();
  FeaturizeResult finish();

  // On the workers.
  RowInfo describe(const Entry& entry) const;

  // On whichever worker completed the block, one at a time.
  void take_block(std::uint64_t number, Block&& block, bool kept);

  void suggest_size(const FeaturizeResult& result) const;
  void watch(const std::stop_token& done);
  void count_ahead(const std::stop_token& done);
  void fail(std::exception_ptr error);
  void throw_error();  // the first one there was, if there was one
  double elapsed() const { return std::chrono::duration<double>(steady_clock::now() - begin_).count(); }

  FeaturizeOptions options_;
  const Hooks& hooks_;
  const steady_clock::time_point begin_ = steady_clock::now();
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;

  // Set by open() and begin(), constant while workers run.
  std::optional<Store> dest_;
  std::shared_ptr<const void> held_;
  std::optional<Network> network_;
  std::optional<RowDescriber> rows_;
  FeaturesLayout layout_;
  ResumePlan plan_;
  nlohmann::json header_;
  int threads_ = 1;
  double workers_began_ = 0;

  // The listing's own.
  std::vector<Entry> head_;
  bool begun_ = false;
  std::uint64_t listed_ = 0;
  Range range_;
  ToldDigest told_;         // its digest is the range's
  RepeatedPaths repeated_;  // of a list of paths
  bool knows_ = false;      // the workers know the rows of earlier runs

  std::mutex mutex_;  // guards what follows
  std::exception_ptr error_;
  std::map<std::uint64_t, PartRecord> kept_;  // by part index
  RunRecord record_;

  std::uint64_t small_ = 0;  // rows made in this run of photos of at most kSmallSide; the block taker's
  mutable std::atomic<bool> late_split_ = false;  // a split was met that the dataset has no column for
  std::atomic<const PhotoCounts*> watched_ = nullptr;
  std::atomic<std::int64_t> total_ = -1;  // of the counting pass; -1 = not known yet

  std::unique_ptr<PhotoReader> reader_;
  std::unique_ptr<PartSequence> parts_;
  std::unique_ptr<MomentSequence> moments_;
  std::unique_ptr<PhotoWorkers> workers_;  // last: its threads use the others
};

void FeaturizeJob::fail(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  stop_.request_stop();
}

void FeaturizeJob::throw_error() {
  // Readers and the writer may still be at work, and fail.
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

void FeaturizeJob::open() {
  require_separate_sources(options_.listing);
  dest_ = Store::open(options_.dest);
  threads_ = options_.threads > 0 ? options_.threads : cpu_budget();
  options_.listing.sources = normalized_sources(std::move(options_.listing.sources));
  record_.begin("open network", elapsed());
  options_.network.streams = threads_;
  network_ = options_.loaded ? *options_.loaded : Network::load(options_.network);
  record_.end("open network", elapsed());
  rows_.emplace(options_.listing.sources, options_.labels);
  layout_ = features_layout(options_, network_->dimension());
}

// Starts everything but the listing. Called once the head of the listing is there: it decides about the
// `split` column, and a list from a pipe comes only once.
void FeaturizeJob::begin() {
  begun_ = true;
  layout_.schema.splits = rows_->wants_splits(head_);
  header_ = features_header(layout_, *rows_, network_->fingerprint());
  held_ = hold_place(*dest_);
  plan_ = plan_resume(*dest_, header_, options_.resume, options_.overwrite);
  if (plan_.header.is_object()) layout_.schema.splits = plan_.header.value("splits", layout_.schema.splits);
  header_["splits"] = layout_.schema.splits;
  begin_run(*dest_, plan_.run_id, header_);

  const auto on_error = [this](std::exception_ptr error) { fail(std::move(error)); };
  const bool remote = std::ranges::any_of(options_.listing.sources, is_remote_uri);
  PhotoWorkers::Options workers;
  workers.workers = threads_;
  workers.io_threads = options_.io_threads > 0 ? options_.io_threads : (remote ? 32 : 4);
  workers.block_rows = layout_.block_rows;

  reader_ = std::make_unique<PhotoReader>();
  parts_ = std::make_unique<PartSequence>(*dest_, layout_.schema, plan_.run_id, layout_.blocks_per_part(),
                                          on_error, false, plan_.file_id);
  if (options_.moments && layout_.schema.d <= options_.max_moments_d) {
    moments_ = std::make_unique<MomentSequence>(*dest_, layout_.schema, plan_.old_run, threads_);
  }
  workers_began_ = elapsed();
  workers_ = std::make_unique<PhotoWorkers>(
      *network_, *reader_, workers, [this](const Entry& entry) { return describe(entry); },
      [this](std::uint64_t number, Block&& block, bool kept) { take_block(number, std::move(block), kept); },
      on_error, stop_.get_token());
  watched_ = &workers_->counts();
  for (Entry& entry : std::exchange(head_, {})) {
    if (!route(std::move(entry))) return;
  }
}

bool FeaturizeJob::on_photo(Entry&& entry) {
  if (begun_) return route(std::move(entry));
  head_.push_back(std::move(entry));
  if (head_.size() == kHeadPhotos) begin();
  return !stop_.stop_requested();
}

bool FeaturizeJob::route(Entry&& entry) {
  const std::uint64_t index = listed_++;
  if (index % layout_.photos_per_part == 0) {
    range_ = Range{};
    range_.first = index;
    range_.held = plan_.may_cover(index);
  }
  ++range_.count;
  if (options_.listing.paths_from) repeated_.add(entry.path);
  range_.digest.add(entry);
  told_.add(*rows_, entry, layout_.schema);
  const bool last = range_.count == layout_.photos_per_part;
  if (range_.held) {
    range_.entries.push_back(std::move(entry));
    return last ? end_range() : !stop_.stop_requested();
  }
  // A part's last block must find the part described.
  if (last && !end_range()) return false;
  return workers_->push(index, std::move(entry));
}

// The photos of a part are all listed: describe it, or keep an earlier run's.
bool FeaturizeJob::end_range() {
  const std::uint64_t part = range_.first / layout_.photos_per_part;
  const std::string digest = range_.digest.hex();
  const std::string told = told_.hex();
  if (range_.held) {
    if (const PartRecord* record = plan_.find(range_.first, digest, told)) {
      {
        const std::lock_guard lock(mutex_);
        kept_[part] = *record;
      }
      return workers_->keep(range_.first, range_.count);
    }
    load_known();
  }
  parts_->describe(part, {{"first", range_.first},
                          {"count", range_.count},
                          {"whole", range_.count == layout_.photos_per_part},
                          {"digest", digest},
                          {"told", told}});
  for (std::size_t i = 0; i < range_.entries.size(); ++i) {
    if (!workers_->push(range_.first + i, std::move(range_.entries[i]))) return false;
  }
  return true;
}

void FeaturizeJob::load_known() {
  if (std::exchange(knows_, true)) return;
  workers_->know(std::make_shared<const KnownRows>(*dest_, layout_.schema, plan_.parts));
}

RowInfo FeaturizeJob::describe(const Entry& entry) const {
  RowInfo info = rows_->describe(entry);
  if (info.split && !layout_.schema.splits) late_split_ = true;
  return info;
}

void FeaturizeJob::take_block(std::uint64_t number, Block&& block, bool kept) {
  const std::uint64_t part = number / layout_.blocks_per_part();
  if (kept) {
    if (number % layout_.blocks_per_part() != 0) return;
    PartRecord record;
    {
      const std::lock_guard lock(mutex_);
      record = kept_.at(part);
    }
    if (moments_) moments_->add_kept(record);
    if (record.rejected > 0) {
      for (const RejectRow& row : DatasetReader::open_parts(*dest_, layout_.schema, {record}).rejects()) {
        workers_->count_reject(row.stage, row.reason);
      }
    }
    parts_->keep(record);
    PhotoCounts& counts = workers_->counts();
    counts.reused += record.rows;
    counts.rejected += record.rejected;
    counts.done += record.rows + record.rejected;
    return;
  }
  small_ += static_cast<std::uint64_t>(std::ranges::count_if(
      block.rows, [](const RowInfo& row) { return std::max(row.width, row.height) <= kSmallSide; }));
  if (moments_) {
    moments_->add(block);
    // A part that is not whole yet is made anew when photos come.
    const bool full = block.rows.size() + block.rejects.size() == layout_.block_rows;
    if (full && (number + 1) % layout_.blocks_per_part() == 0) moments_->mark(part + 1);
  }
  parts_->write(number, std::move(block), stop_.get_token());
}

// Counts the photos ahead of the listing, which is held back by the work, so that there is a time to tell.
void FeaturizeJob::count_ahead(const std::stop_token& done) {
  try {
    std::int64_t count = 0;
    list_photos(
        options_.listing,
        [&](Entry&&) {
          ++count;
          return !done.stop_requested();
        },
        done);
    if (!done.stop_requested()) total_ = count;
  } catch (const Error&) {
    // The listing itself will say what is wrong; without a total there is no time to tell.
  }
}

void FeaturizeJob::watch(const std::stop_token& done) {
  std::mutex mutex;
  std::condition_variable_any tick;
  std::unique_lock lock(mutex);
  std::vector<std::pair<double, std::uint64_t>> recent;
  while (!tick.wait_for(lock, done, std::chrono::milliseconds(200), [] { return false; })) {
    if (done.stop_requested()) return;
    const double now = elapsed();
    const PhotoCounts* counts = watched_;
    const std::uint64_t count = counts ? counts->done.load() : 0;
    recent.emplace_back(now, count);
    if (recent.size() > 25) recent.erase(recent.begin());
    {
      const std::lock_guard guard(mutex_);
      record_.sample(now, count);
    }
    if (!hooks_.progress) continue;
    Progress progress;
    progress.done = count;
    if (counts) progress.rejected = counts->rejected;
    if (total_ >= 0) progress.total = static_cast<std::uint64_t>(total_.load());
    progress.seconds = now;
    const double span = now - recent.front().first;
    if (span > 0) progress.rate = static_cast<double>(count - recent.front().second) / span;
    hooks_.progress(progress);
  }
}

FeaturizeResult FeaturizeJob::run() {
  open();
  {
    std::stop_source done;
    const std::jthread watcher([&] { watch(done.get_token()); });
    std::jthread counter;
    const bool once = options_.listing.paths_from == "-";
    if (hooks_.progress && !once) counter = std::jthread([&] { count_ahead(done.get_token()); });
    record_.begin("featurize", elapsed());
    try {
      list_photos(
          options_.listing, [this](Entry&& entry) { return on_photo(std::move(entry)); }, stop_.get_token());
      if (listed_ == 0 && head_.empty() && !stop_.stop_requested()) {
        throw no_photos(options_.listing);
      }
      if (!begun_ && !stop_.stop_requested()) begin();
      if (begun_ && !stop_.stop_requested()) {
        if (listed_ % layout_.photos_per_part != 0) end_range();
        total_ = static_cast<std::int64_t>(listed_);
        workers_->end(listed_);
      }
    } catch (...) {
      fail(std::current_exception());
    }
    if (workers_) workers_->join();
    done.request_stop();
    const std::lock_guard guard(mutex_);
    record_.end("featurize", elapsed());
  }
  throw_error();
  if (stop_.stop_requested()) {
    throw Error(ErrorCode::kCancelled, "stopped; finished parts are kept in " + dest_->uri() +
                                           ". Run again with --resume to go on.");
  }
  return finish();
}

// Small photos are only enlarged for a larger input, at several times the cost. The size is part of what must
// be equal later on, so it is the user's to choose.
void FeaturizeJob::suggest_size(const FeaturizeResult& result) const {
  constexpr std::uint64_t kFew = 100;
  const PreprocessSpec& spec = network_->preprocess();
  const bool own_size = !options_.network.input_size && network_->name() == options_.network.model;
  if (!hooks_.note || !own_size || spec.width * spec.height < 2 * kSmallSide * kSmallSide) return;
  const std::uint64_t made = result.computed + result.identical;
  if (made < kFew || made < result.written || small_ * 100 < made * 99) return;
  const std::string side = std::to_string(kSmallSide);
  // The ranges of integers hold for one size.
  const bool integers = network_->fingerprint().precision == to_string(Precision::kInt8);
  hooks_.note("these photos have at most " + side +
              " pixels a side: " + (integers ? "a network quantized with --input-size " : "--input-size ") +
              side + " is about three times as fast, and as accurate for most such photos");
}

FeaturizeResult FeaturizeJob::finish() {
  record_.begin("publish", elapsed());
  const std::vector<PartRecord> records = parts_->finish();
  throw_error();
  std::map<std::string, double> stages = workers_->stages();
  stages["write"] = parts_->seconds();
  nlohmann::json saved;
  if (moments_) {
    saved = moments_->save(records);
    stages["moments"] = moments_->seconds();
  }

  if (late_split_ && hooks_.warning) hooks_.warning(late_split_warning(dest_->uri()));
  if (rows_->table() != nullptr && !told_.labelled() && hooks_.warning)
    hooks_.warning(no_label_warning(options_.labels, told_.first_path()));
  if (const std::string again = repeated_.warning(); !again.empty() && hooks_.warning) hooks_.warning(again);
  FeaturizeResult result;
  result.listed = listed_;
  for (const PartRecord& record : records) {
    result.written += record.rows;
    result.rejected += record.rejected;
  }
  if (result.listed != result.written + result.rejected) {
    throw Error(ErrorCode::kInternal, "listed " + std::to_string(result.listed) + " photos, but " +
                                          std::to_string(result.written) + " rows and " +
                                          std::to_string(result.rejected) + " rejects came out");
  }
  const PhotoCounts& counts = workers_->counts();
  result.computed = counts.computed;
  result.reused = counts.reused;
  result.identical = counts.identical;
  if (counts.first_vector >= 0) result.first_vector_seconds = workers_began_ + counts.first_vector;
  result.reject_reasons = workers_->reasons();
  result.schema = layout_.schema;
  result.fingerprint = network_->fingerprint();
  if (moments_) result.moments = moments_->take();
  result.stages = std::move(stages);
  result.seconds = elapsed();
  record_.end("publish", elapsed());

  nlohmann::json run = features_record(result, plan_.run_id, network_->name(), to_json(options_.network),
                                       to_json(network_->preprocess()), header_, options_.invocation);
  run["timeline"] = record_.timeline();
  run["rate"] = record_.rate();
  run["batch"] = network_->batch();
  if (saved.is_object()) run["moments"] = saved;
  const std::string before = rows_digest(plan_.old_run);
  finish_run(*dest_, std::move(run), records);
  result.changed = before.empty() || before != rows_digest(parse_json(dest_->read("_run.json")));
  suggest_size(result);
  return result;
}

}  // namespace

FeaturizeResult featurize(const FeaturizeOptions& options, const Hooks& hooks, std::stop_token stop) {
  return FeaturizeJob(options, hooks, std::move(stop)).run();
}

}  // namespace pomona
