// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/featurize.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/block_assembler.h"
#include "pomona/pipeline/known_rows.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/labels.h"
#include "pomona/pipeline/moment_sequence.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/part_sequence.h"
#include "pomona/pipeline/photo_feed.h"
#include "pomona/pipeline/photo_lane.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/pipeline/stage_clock.h"

namespace pomona {
namespace {

using std::chrono::steady_clock;

// How many of the first photos decide whether the dataset has a `split` column.
constexpr std::size_t kHeadPhotos = 256;
constexpr std::size_t kReasonKinds = 100;

// Rows per block: about 4 MB of vectors, a power of two so that parts hold whole blocks.
std::size_t block_rows_for(int d) {
  const std::size_t rows = (std::size_t{4} << 20) / (static_cast<std::size_t>(d) * sizeof(float));
  return std::clamp<std::size_t>(std::bit_floor(std::max<std::size_t>(rows, 1)), 16, 512);
}

// What one worker did, added up at its end.
struct WorkerTally {
  double hash = 0;
  double wait = 0;
  double assemble = 0;  // order, moments and hand-over to the writer
};

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
  bool feed(std::uint64_t index, Entry&& entry);
  void load_known();
  FeaturizeResult finish();

  // On the workers.
  void work();
  void reject_photo(const FeedPhoto& photo, const Rejection& rejection);
  RowInfo describe(const Entry& entry) const;

  // On whichever worker completed the block, one at a time.
  void take_block(std::uint64_t number, Block&& block, bool kept);

  void watch(const std::stop_token& done);
  void count_ahead(const std::stop_token& done);
  void fail(std::exception_ptr error);
  void count_reason(const std::string& stage, const std::string& reason);
  double elapsed() const { return std::chrono::duration<double>(steady_clock::now() - begin_).count(); }
  std::uint64_t blocks_per_part() const { return photos_per_part_ / block_rows_; }

  FeaturizeOptions options_;
  const Hooks& hooks_;
  const steady_clock::time_point begin_ = steady_clock::now();
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;

  // Set by open() and begin(), constant while workers run.
  std::optional<Store> dest_;
  std::optional<Network> network_;
  std::optional<LabelTable> table_;
  Schema schema_;
  ResumePlan plan_;
  nlohmann::json header_;
  int workers_ = 1;
  std::size_t block_rows_ = 0;
  std::uint64_t photos_per_part_ = 0;

  // The listing's own.
  std::vector<Entry> head_;
  bool begun_ = false;
  std::uint64_t listed_ = 0;
  Range range_;

  std::unique_ptr<PhotoReader> reader_;
  std::unique_ptr<PartSequence> parts_;
  std::unique_ptr<MomentSequence> moments_;
  std::unique_ptr<BlockAssembler> assembler_;
  std::unique_ptr<PhotoFeed> feed_;
  std::vector<std::jthread> threads_;

  std::mutex mutex_;  // guards what follows
  std::exception_ptr error_;
  std::shared_ptr<const KnownRows> known_;
  std::map<std::uint64_t, PartRecord> kept_;  // by part index
  std::map<std::string, std::uint64_t> reasons_;
  std::map<std::string, double> stages_;
  RunRecord record_;

  std::atomic<std::uint64_t> done_ = 0;  // rows and rejects, kept ones included
  std::atomic<std::uint64_t> rejected_ = 0;
  std::atomic<std::uint64_t> computed_ = 0;
  mutable std::atomic<bool> late_split_ = false;  // a split was met that the dataset has no column for
  std::atomic<std::uint64_t> reused_ = 0;
  std::atomic<std::int64_t> total_ = -1;  // of the counting pass; -1 = not known yet
  std::atomic<double> first_vector_ = -1;
};

void FeaturizeJob::fail(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  stop_.request_stop();
}

void FeaturizeJob::open() {
  dest_ = Store::open(options_.dest);
  workers_ = options_.threads > 0 ? options_.threads : cpu_budget();
  for (std::string& source : options_.listing.sources) {
    if (!is_remote_uri(source)) source = std::filesystem::absolute(source).lexically_normal().string();
    while (source.size() > 1 && source.back() == '/') source.pop_back();
  }
  record_.begin("open network", elapsed());
  options_.network.streams = workers_;
  network_ = options_.loaded ? *options_.loaded : Network::load(options_.network);
  record_.end("open network", elapsed());

  schema_.d = network_->dimension();
  schema_.format = options_.format;
  schema_.csv_packed = options_.csv_packed && options_.format == Format::kCsv;
  schema_.labels = options_.labels != "none";
  if (options_.labels != "none" && options_.labels != "folder") table_ = LabelTable::read(options_.labels);

  std::uint64_t rows = options_.rows_per_file;
  if (options_.bytes_per_file)
    rows = *options_.bytes_per_file / (static_cast<std::uint64_t>(schema_.d) * sizeof(float));
  rows = std::max<std::uint64_t>(rows, 1);
  // Parts hold whole blocks: as many as needed, each as large as makes the part about as large as asked.
  const std::size_t largest = block_rows_for(schema_.d);
  const std::uint64_t blocks = (rows + largest - 1) / largest;
  block_rows_ = static_cast<std::size_t>((rows + blocks - 1) / blocks);
  photos_per_part_ = blocks * block_rows_;
}

// Starts everything but the listing. Called once the head of the listing is there: it decides about the
// `split` column, and a list from a pipe comes only once.
void FeaturizeJob::begin() {
  begun_ = true;
  schema_.splits =
      std::ranges::any_of(head_, [&](const Entry& entry) { return describe(entry).split.has_value(); }) ||
      // A listing that goes on may come to such a folder later.
      (head_.size() == kHeadPhotos && std::ranges::any_of(options_.listing.sources, [](const auto& source) {
         return !is_remote_uri(source) && has_split_folder(source);
       }));
  header_ = {{"kind", "features"},
             {"identity", network_->fingerprint().identity},
             {"precision", network_->fingerprint().precision},
             {"format", to_string(schema_.format)},
             {"labels", options_.labels},
             {"rows_per_file", photos_per_part_}};
  if (schema_.format == Format::kCsv) header_["csv_layout"] = schema_.csv_packed ? "packed" : "wide";
  if (table_) header_["labels_sha256"] = table_->sha256();
  plan_ = plan_resume(*dest_, header_, options_.resume, options_.overwrite);
  if (plan_.header.is_object()) schema_.splits = plan_.header.value("splits", schema_.splits);
  header_["splits"] = schema_.splits;
  late_split_ = false;
  begin_run(*dest_, plan_.run_id, header_);

  const auto on_error = [this](std::exception_ptr error) { fail(std::move(error)); };
  const bool remote = std::ranges::any_of(options_.listing.sources, is_remote_uri);
  const int io_threads = options_.io_threads > 0 ? options_.io_threads : (remote ? 32 : 4);
  PhotoFeed::Options ahead;
  ahead.threads = io_threads;
  ahead.ahead_photos = static_cast<std::size_t>(std::max(4 * io_threads, 4 * workers_ * network_->batch()));
  const std::uint64_t window =
      4 * block_rows_ + 2 * ahead.ahead_photos + static_cast<std::uint64_t>(workers_ * network_->batch());

  reader_ = std::make_unique<PhotoReader>();
  parts_ = std::make_unique<PartSequence>(*dest_, schema_, plan_.run_id, blocks_per_part(), on_error);
  if (options_.moments && schema_.d <= options_.max_moments_d) {
    moments_ = std::make_unique<MomentSequence>(*dest_, schema_, plan_.old_run);
  }
  assembler_ = std::make_unique<BlockAssembler>(
      block_rows_, schema_.d, window,
      [this](std::uint64_t number, Block&& block, bool kept) { take_block(number, std::move(block), kept); });
  feed_ = std::make_unique<PhotoFeed>(*reader_, ahead, stop_.get_token(), on_error);
  for (int i = 0; i < workers_; ++i) {
    threads_.emplace_back([this] {
      try {
        work();
      } catch (...) {
        fail(std::current_exception());
      }
    });
  }
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
  if (index % photos_per_part_ == 0) {
    range_ = Range{};
    range_.first = index;
    range_.held = plan_.may_cover(index);
  }
  ++range_.count;
  range_.digest.add(entry);
  const bool last = range_.count == photos_per_part_;
  if (range_.held) {
    range_.entries.push_back(std::move(entry));
    return last ? end_range() : !stop_.stop_requested();
  }
  // A part's last block must find the part described.
  if (last && !end_range()) return false;
  return feed(index, std::move(entry));
}

// The photos of a part are all listed: describe it, or keep an earlier run's.
bool FeaturizeJob::end_range() {
  const std::uint64_t part = range_.first / photos_per_part_;
  const std::string digest = range_.digest.hex();
  if (range_.held) {
    if (const PartRecord* record = plan_.find(range_.first, digest)) {
      {
        const std::lock_guard lock(mutex_);
        kept_[part] = *record;
      }
      if (!assembler_->admit(range_.first, stop_.get_token())) return false;
      assembler_->keep(range_.first / block_rows_, (range_.count + block_rows_ - 1) / block_rows_);
      return true;
    }
    load_known();
  }
  parts_->describe(part, {{"first", range_.first},
                          {"count", range_.count},
                          {"whole", range_.count == photos_per_part_},
                          {"digest", digest}});
  for (std::size_t i = 0; i < range_.entries.size(); ++i) {
    if (!feed(range_.first + i, std::move(range_.entries[i]))) return false;
  }
  return true;
}

bool FeaturizeJob::feed(std::uint64_t index, Entry&& entry) {
  return assembler_->admit(index, stop_.get_token()) && feed_->push(index, std::move(entry));
}

void FeaturizeJob::load_known() {
  {
    const std::lock_guard lock(mutex_);
    if (known_) return;
  }
  auto known = std::make_shared<const KnownRows>(*dest_, schema_, plan_.parts);
  const std::lock_guard lock(mutex_);
  known_ = std::move(known);
}

RowInfo FeaturizeJob::describe(const Entry& entry) const {
  RowInfo info;
  const bool relative = !entry.path.starts_with('/') && !is_remote_uri(entry.path);
  info.path =
      escape_path(relative ? std::filesystem::absolute(entry.path).lexically_normal().string() : entry.path);
  std::string_view root;
  for (const std::string& source : options_.listing.sources) {
    if (entry.path.starts_with(source) && source.size() > root.size()) root = source;
  }
  if (table_) {
    if (const auto* labels = table_->find(entry.path)) info.label = labels->front();
  } else if (schema_.labels) {
    info.label = folder_label(entry.path, root);
    if (info.label) info.label = escape_path(*info.label);
  }
  info.split = path_split(entry.path, root);
  if (info.split && !schema_.splits) late_split_ = true;
  return info;
}

void FeaturizeJob::count_reason(const std::string& stage, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  const std::string key = stage + ": " + reason;
  if (reasons_.size() < kReasonKinds || reasons_.contains(key)) ++reasons_[key];
}

void FeaturizeJob::reject_photo(const FeedPhoto& photo, const Rejection& rejection) {
  RejectRow row;
  row.path = describe(photo.entry).path;
  if (!is_utf8(photo.entry.path)) row.path_bytes = photo.entry.path;
  row.stage = to_string(rejection.stage);
  row.reason = escape_path(rejection.reason);
  row.bytes = photo.bytes.empty() ? std::max<std::int64_t>(photo.entry.bytes, 0)
                                  : static_cast<std::int64_t>(photo.bytes.size());
  count_reason(row.stage, row.reason);
  ++rejected_;
  ++done_;
  assembler_->reject(photo.index, std::move(row));
}

void FeaturizeJob::work() {
  PhotoLane lane(*network_);
  std::vector<FeedPhoto> photos;
  std::vector<std::pair<std::uint64_t, RowInfo>> slots;
  WorkerTally tally;
  StageClock clock;
  std::shared_ptr<const KnownRows> known;

  const auto infer = [&] {
    lane.infer();
    clock.start();
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      assembler_->put(slots[slot].first, std::move(slots[slot].second), lane.features(slot));
      ++done_;
    }
    if (first_vector_ < 0) first_vector_ = elapsed();
    computed_ += slots.size();
    slots.clear();
    clock.lap(tally.assemble);
  };

  for (;;) {
    clock.start();
    const std::size_t wanted = lane.room();
    // With photos in hand there is no waiting for more: the listing may be held back until just these are
    // done.
    const bool more = feed_->pop(wanted, std::chrono::milliseconds(2), slots.empty(), photos);
    clock.lap(tally.wait);
    if (!more || stop_.stop_requested()) break;
    {
      const std::lock_guard lock(mutex_);
      known = known_;
    }
    for (FeedPhoto& photo : photos) {
      if (photo.rejection) {
        reject_photo(photo, *photo.rejection);
        continue;
      }
      clock.start();
      RowInfo info = describe(photo.entry);
      info.hash = content_hash(photo.bytes);
      clock.lap(tally.hash);
      if (known) {
        if (auto row = known->find(info.hash)) {
          info.width = row->width;
          info.height = row->height;
          assembler_->put(photo.index, std::move(info), row->vector);
          ++reused_;
          ++done_;
          continue;
        }
        clock.lap(tally.wait);
      }
      if (const auto decoded = lane.add(photo.bytes)) {
        info.width = decoded->width;
        info.height = decoded->height;
        slots.emplace_back(photo.index, std::move(info));
      } else {
        reject_photo(photo, decoded.error());
      }
      feed_->recycle(std::move(photo.bytes));
    }
    // A full batch, or no more photos for now: waiting would cost more than the padding.
    if (lane.room() == 0 || (photos.size() < wanted && !slots.empty())) infer();
  }
  if (!slots.empty() && !stop_.stop_requested()) infer();

  const std::lock_guard lock(mutex_);
  stages_["decode"] += lane.decode_seconds();
  stages_["resize"] += lane.resize_seconds();
  stages_["featurize"] += lane.featurize_seconds();
  stages_["hash"] += tally.hash;
  stages_["wait"] += tally.wait;
  stages_["assemble"] += tally.assemble;
}

void FeaturizeJob::take_block(std::uint64_t number, Block&& block, bool kept) {
  const std::uint64_t part = number / blocks_per_part();
  if (kept) {
    if (number % blocks_per_part() != 0) return;
    PartRecord record;
    {
      const std::lock_guard lock(mutex_);
      record = kept_.at(part);
    }
    if (moments_) moments_->add_kept(record);
    if (record.rejected > 0) {
      for (const RejectRow& row : DatasetReader::open_parts(*dest_, schema_, {record}).rejects()) {
        count_reason(row.stage, row.reason);
      }
    }
    parts_->keep(record);
    reused_ += record.rows;
    rejected_ += record.rejected;
    done_ += record.rows + record.rejected;
    return;
  }
  if (moments_) {
    moments_->add(block);
    if ((number + 1) % blocks_per_part() == 0) moments_->mark(part + 1);
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
    const std::uint64_t count = done_;
    recent.emplace_back(now, count);
    if (recent.size() > 25) recent.erase(recent.begin());
    {
      const std::lock_guard guard(mutex_);
      record_.sample(now, count);
    }
    if (!hooks_.progress) continue;
    Progress progress;
    progress.done = count;
    progress.rejected = rejected_;
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
        throw Error(ErrorCode::kNotFound,
                    "no photos were found in " +
                        (options_.listing.sources.empty() ? std::string("the list")
                                                          : options_.listing.sources.front()) +
                        ". Looked for JPEG, PNG, WebP and HEIC files by their endings; name "
                        "another pattern with --glob.");
      }
      if (!begun_ && !stop_.stop_requested()) begin();
      if (begun_ && !stop_.stop_requested()) {
        if (listed_ % photos_per_part_ != 0) end_range();
        assembler_->end(listed_);
        total_ = static_cast<std::int64_t>(listed_);
        feed_->close();
        assembler_->wait(stop_.get_token());
      }
    } catch (...) {
      fail(std::current_exception());
    }
    // Without a feed that ends, workers leave by the stop token.
    if (stop_.stop_requested() && feed_) feed_->close();
    threads_.clear();
    done.request_stop();
    const std::lock_guard guard(mutex_);
    record_.end("featurize", elapsed());
  }
  if (error_) std::rethrow_exception(error_);
  if (stop_.stop_requested()) {
    throw Error(ErrorCode::kCancelled, "stopped; finished parts are kept in " + dest_->uri() +
                                           ". Run again with --resume to go on.");
  }
  return finish();
}

FeaturizeResult FeaturizeJob::finish() {
  record_.begin("publish", elapsed());
  const std::vector<PartRecord> records = parts_->finish();
  if (error_) std::rethrow_exception(error_);
  stages_["read"] = feed_->read_seconds();
  stages_["write"] = parts_->seconds();
  nlohmann::json saved;
  if (moments_) {
    saved = moments_->save(records);
    stages_["moments"] = moments_->seconds();
  }

  if (late_split_ && hooks_.warning) {
    hooks_.warning(
        "folders named like a split (Training, Validation, Test) came too late in the listing, or only "
        "now, for " +
        dest_->uri() +
        " to have a split column. List them first (name them as SOURCEs), or use --overwrite.");
  }
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
  result.computed = computed_;
  result.reused = reused_;
  result.first_vector_seconds = std::max(0.0, first_vector_.load());
  result.reject_reasons = reasons_;
  result.schema = schema_;
  result.fingerprint = network_->fingerprint();
  if (moments_) result.moments = moments_->take();
  result.stages = stages_;
  result.seconds = elapsed();
  record_.end("publish", elapsed());

  nlohmann::json run = {{"kind", "features"},
                        {"run_id", plan_.run_id},
                        {"finished", utc_now()},
                        {"machine", machine_record()},
                        {"model", network_->name()},
                        {"network", to_json(options_.network)},
                        {"fingerprint", to_json(network_->fingerprint())},
                        {"preprocess", to_json(network_->preprocess())},
                        {"header", header_},
                        {"invocation", options_.invocation},
                        {"schema",
                         {{"vector_column", schema_.vector_column},
                          {"d", schema_.d},
                          {"labels", schema_.labels},
                          {"splits", schema_.splits},
                          {"format", to_string(schema_.format)}}},
                        {"counts",
                         {{"listed", result.listed},
                          {"written", result.written},
                          {"rejected", result.rejected},
                          {"computed", result.computed},
                          {"reused", result.reused}}},
                        {"reject_reasons", reasons_},
                        {"seconds", result.seconds},
                        {"first_vector_seconds", result.first_vector_seconds},
                        {"stages", stages_},
                        {"timeline", record_.timeline()},
                        {"rate", record_.rate()}};
  if (saved.is_object()) run["moments"] = saved;
  finish_run(*dest_, std::move(run), records);
  return result;
}

}  // namespace

FeaturizeResult featurize(const FeaturizeOptions& options, const Hooks& hooks, std::stop_token stop) {
  return FeaturizeJob(options, hooks, std::move(stop)).run();
}

}  // namespace pomona
