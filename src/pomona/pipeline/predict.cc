// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/predict.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/block_assembler.h"
#include "pomona/pipeline/photo_feed.h"
#include "pomona/pipeline/photo_lane.h"
#include "pomona/pipeline/stage_clock.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kBlockRows = 16;  // answers that come together: small, so that the first come soon
constexpr std::size_t kBatch = 8;       // fewer photos a worker: a smaller batch

std::string shown_path(const std::string& path) {
  return escape_path(path);
}

RejectRow reject_row(const std::string& path, std::int64_t bytes, const Rejection& rejection) {
  RejectRow row;
  row.path = shown_path(path);
  if (!is_utf8(path)) row.path_bytes = path;
  row.stage = to_string(rejection.stage);
  row.reason = escape_path(rejection.reason);
  row.bytes = std::max<std::int64_t>(bytes, 0);
  return row;
}

// How many photos there are where that is plain to see; none for folders, lists and stores.
std::optional<std::size_t> plain_count(const PredictOptions& options) {
  if (options.photo) return 1;
  if (options.listing.paths_from) return std::nullopt;
  for (const std::string& source : options.listing.sources) {
    std::error_code error;
    if (is_remote_uri(source) || !std::filesystem::is_regular_file(source, error)) return std::nullopt;
  }
  return options.listing.sources.size();
}

class PredictJob {
 public:
  PredictJob(const PredictOptions& options, const ModelSink& on_model, const PredictSink& sink,
             const Hooks& hooks, std::stop_token stop)
      : options_(options),
        on_model_(on_model),
        sink_(sink),
        hooks_(hooks),
        forward_stop_(std::move(stop), [this] { stop_.request_stop(); }) {}

  PredictResult run() {
    open();
    options_.photo ? one_photo() : many_photos();
    result_.seconds = elapsed();
    return result_;
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(steady_clock::now() - begin_).count(); }

  void open() {
    predictor_.emplace(load_model(options_.model));
    result_.model_seconds = elapsed();
    if (on_model_) on_model_(*predictor_);
    const std::optional<std::size_t> count = plain_count(options_);
    workers_ = options_.threads > 0 ? options_.threads : cpu_budget();
    NetworkOptions network;
    network.model = options_.model;
    if (count) {
      workers_ = std::min<int>(workers_, static_cast<int>(std::max<std::size_t>(*count, 1)));
      const std::size_t share =
          (*count + static_cast<std::size_t>(workers_) - 1) / static_cast<std::size_t>(workers_);
      if (share < kBatch) network.batch = static_cast<int>(std::max<std::size_t>(share, 1));
    }
    network.streams = workers_;
    network.compile_cache = options_.compile_cache;
    network.precision = options_.precision;
    const Fingerprint& trained = predictor_->model().backbone.fingerprint;
    if (options_.precision == Precision::kAuto) {
      network.precision = precision_like(trained.precision);
    }
    network_.emplace(load_network(predictor_->model(), network));
    const auto warning =
        require_same(network_->fingerprint(), "this run", trained, "the model's training", options_.strict);
    if (warning && hooks_.warning) hooks_.warning(*warning);
    result_.network_seconds = elapsed();
  }

  void deliver(PredictedPhoto&& photo) {
    ++result_.listed;
    if (photo.reject) ++result_.rejected;
    if (result_.first_answer_seconds == 0) result_.first_answer_seconds = elapsed();
    sink_(photo);
    if (hooks_.progress && elapsed() > next_progress_) {
      next_progress_ = elapsed() + 0.2;
      Progress progress;
      progress.done = result_.listed;
      progress.rejected = result_.rejected;
      progress.seconds = elapsed();
      progress.rate = progress.seconds > 0 ? static_cast<double>(progress.done) / progress.seconds : 0;
      hooks_.progress(progress);
    }
  }

  void one_photo() {
    PhotoLane lane(*network_);
    PredictedPhoto photo;
    photo.info.path = "-";
    const auto info = lane.add(*options_.photo);
    if (!info) {
      photo.reject = reject_row("-", static_cast<std::int64_t>(options_.photo->size()), info.error());
    } else {
      photo.info.width = info->width;
      photo.info.height = info->height;
      lane.infer();
      photo.answer = predictor_->predict(lane.features(0), 1).front();
    }
    deliver(std::move(photo));
  }

  void many_photos() {
    const bool remote = std::ranges::any_of(options_.listing.sources, is_remote_uri);
    const int io_threads =
        options_.io_threads > 0 ? options_.io_threads : (remote ? 32 : std::min(4, 2 * workers_));
    PhotoFeed::Options ahead;
    ahead.threads = io_threads;
    ahead.ahead_photos = static_cast<std::size_t>(std::max(4 * io_threads, 4 * workers_ * network_->batch()));
    const std::uint64_t window =
        4 * kBlockRows + 2 * ahead.ahead_photos + static_cast<std::uint64_t>(workers_ * network_->batch());
    // What is put back into order are the answers' numbers, not the vectors: the heads run on the workers.
    assembler_ = std::make_unique<BlockAssembler>(
        kBlockRows, static_cast<int>(predictor_->width()), window,
        [this](std::uint64_t number, Block&& block, bool) { take_block(number, std::move(block)); });
    feed_ = std::make_unique<PhotoFeed>(reader_, ahead, stop_.get_token(),
                                        [this](std::exception_ptr error) { fail(std::move(error)); });
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(workers_));
    for (int i = 0; i < workers_; ++i) {
      threads.emplace_back([this] {
        try {
          work();
        } catch (...) {
          fail(std::current_exception());
        }
      });
    }
    try {
      std::uint64_t listed = 0;
      list_photos(
          options_.listing,
          [&](Entry&& entry) {
            const std::uint64_t index = listed++;
            return assembler_->admit(index, stop_.get_token()) && feed_->push(index, std::move(entry));
          },
          stop_.get_token());
      if (listed == 0 && !stop_.stop_requested()) {
        throw Error(
            ErrorCode::kNotFound,
            "no photos were found in " +
                (options_.listing.sources.empty() ? std::string("the list")
                                                  : options_.listing.sources.front()) +
                ". Looked for JPEG, PNG, WebP and HEIC files by their endings; name another pattern with "
                "--glob.");
      }
      assembler_->end(listed);
      feed_->close();
      assembler_->wait(stop_.get_token());
    } catch (...) {
      fail(std::current_exception());
    }
    feed_->close();
    threads.clear();
    throw_error();
    if (stop_.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped before all photos were answered");
    result_.stages["read"] = feed_->read_seconds();
  }

  void work() {
    PhotoLane lane(*network_);
    const auto d = static_cast<std::size_t>(network_->dimension());
    const std::size_t width = predictor_->width();
    std::vector<FeedPhoto> photos;
    std::vector<std::pair<std::uint64_t, RowInfo>> slots;
    std::vector<float> vectors;
    std::vector<float> numbers;
    double wait = 0, decode = 0, featurize = 0, classify = 0, deliver = 0;
    StageClock clock;

    const auto infer = [&] {
      clock.start();
      lane.infer();
      clock.lap(featurize);
      vectors.resize(slots.size() * d);
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        std::ranges::copy(lane.features(slot), vectors.begin() + static_cast<std::ptrdiff_t>(slot * d));
      }
      numbers.resize(slots.size() * width);
      predictor_->predict_numbers(vectors, slots.size(), numbers);
      clock.lap(classify);
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        assembler_->put(slots[slot].first, std::move(slots[slot].second),
                        std::span(numbers).subspan(slot * width, width));
      }
      slots.clear();
      clock.lap(deliver);
    };

    for (;;) {
      clock.start();
      const std::size_t wanted = lane.room();
      const bool more = feed_->pop(wanted, std::chrono::milliseconds(2), slots.empty(), photos);
      clock.lap(wait);
      if (!more || stop_.stop_requested()) break;
      for (FeedPhoto& photo : photos) {
        const auto bytes =
            photo.bytes.empty() ? photo.entry.bytes : static_cast<std::int64_t>(photo.bytes.size());
        if (photo.rejection) {
          reject(photo.index, reject_row(photo.entry.path, bytes, *photo.rejection));
          continue;
        }
        clock.start();
        const auto info = lane.add(photo.bytes);
        clock.lap(decode);
        if (!info) {
          reject(photo.index, reject_row(photo.entry.path, bytes, info.error()));
        } else {
          RowInfo row;
          row.path = shown_path(photo.entry.path);
          row.width = info->width;
          row.height = info->height;
          slots.emplace_back(photo.index, std::move(row));
        }
        feed_->recycle(std::move(photo.bytes));
      }
      // A full batch, or no more photos for now: waiting would cost more than the padding.
      if (!slots.empty() && (lane.room() == 0 || photos.size() < wanted)) infer();
    }
    if (!slots.empty() && !stop_.stop_requested()) infer();

    const std::lock_guard lock(mutex_);
    result_.stages["wait"] += wait;
    result_.stages["decode and resize"] += decode;
    result_.stages["featurize"] += featurize;
    result_.stages["classify"] += classify;
    result_.stages["deliver"] += deliver;
  }

  // A rejected photo keeps its place among the answers: its numbers, which nobody reads, are zeros.
  void reject(std::uint64_t index, RejectRow&& row) {
    {
      const std::lock_guard lock(mutex_);
      rejects_.emplace(index, std::move(row));
    }
    assembler_->put(index, {}, std::vector<float>(predictor_->width()));
  }

  std::optional<RejectRow> take_reject(std::uint64_t index) {
    const std::lock_guard lock(mutex_);
    auto found = rejects_.extract(index);
    if (found.empty()) return std::nullopt;
    return std::move(found.mapped());
  }

  void take_block(std::uint64_t number, Block&& block) {
    const std::size_t width = predictor_->width();
    for (std::size_t i = 0; i < block.rows.size(); ++i) {
      PredictedPhoto photo;
      photo.reject = take_reject(number * kBlockRows + i);
      if (photo.reject) {
        photo.info.path = photo.reject->path;
      } else {
        photo.info = std::move(block.rows[i]);
        photo.answer =
            predictor_->prediction(std::span<const float>(block.vectors).subspan(i * width, width));
      }
      deliver(std::move(photo));
    }
  }

  void throw_error() {
    // Readers may still be at work, and fail.
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(error_);
  }

  void fail(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::move(error);
    }
    stop_.request_stop();
  }

  const PredictOptions& options_;
  const ModelSink& on_model_;
  const PredictSink& sink_;
  const Hooks& hooks_;
  const steady_clock::time_point begin_ = steady_clock::now();
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;

  std::optional<Predictor> predictor_;
  std::optional<Network> network_;
  int workers_ = 1;
  PhotoReader reader_;
  std::unique_ptr<BlockAssembler> assembler_;
  double next_progress_ = 0;

  std::mutex mutex_;  // guards what follows
  std::exception_ptr error_;
  std::map<std::uint64_t, RejectRow> rejects_;  // by place in the listing, until they are delivered
  PredictResult result_;  // counts: whoever delivers, one at a time; stages: under the mutex

  std::unique_ptr<PhotoFeed> feed_;  // last: its threads use the others
};

}  // namespace

ModelFile load_model(const std::string& uri) {
  if (!is_remote_uri(uri)) return read_model_file(uri);
  const FilePlace place = file_place(uri);
  return parse_model_file(Store::open(place.folder).read(place.name), uri);
}

PredictResult predict(const PredictOptions& options, const ModelSink& on_model, const PredictSink& sink,
                      const Hooks& hooks, std::stop_token stop) {
  return PredictJob(options, on_model, sink, hooks, std::move(stop)).run();
}

}  // namespace pomona
