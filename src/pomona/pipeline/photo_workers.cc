// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_workers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "pomona/base/text.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/photo_lane.h"
#include "pomona/pipeline/stage_clock.h"

namespace pomona {
namespace {

// What one worker did, added up at its end.
struct WorkerTally {
  double hash = 0;
  double wait = 0;
  double assemble = 0;  // order, moments and hand-over to the writer
};

}  // namespace

PhotoWorkers::PhotoWorkers(const Network& network, const PhotoReader& reader, const Options& options,
                           Describe describe, BlockAssembler::Sink sink,
                           std::function<void(std::exception_ptr)> fail, std::stop_token stop)
    : network_(network),
      options_(options),
      describe_(std::move(describe)),
      fail_(std::move(fail)),
      stop_(std::move(stop)),
      twins_(static_cast<std::size_t>(network_.dimension())) {
  PhotoFeed::Options ahead;
  ahead.threads = options_.io_threads;
  ahead.ahead_photos =
      static_cast<std::size_t>(std::max(4 * options_.io_threads, 4 * options_.workers * network_.batch()));
  const std::uint64_t window = 4 * options_.block_rows + 2 * ahead.ahead_photos +
                               static_cast<std::uint64_t>(options_.workers * network_.batch());
  assembler_ =
      std::make_unique<BlockAssembler>(options_.block_rows, network_.dimension(), window, std::move(sink));
  feed_ = std::make_unique<PhotoFeed>(reader, ahead, stop_, fail_);
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this] {
      try {
        work();
      } catch (...) {
        fail_(std::current_exception());
      }
    });
  }
}

PhotoWorkers::~PhotoWorkers() {
  join();
}

bool PhotoWorkers::push(std::uint64_t index, Entry&& entry) {
  return assembler_->admit(index, stop_) && feed_->push(index, std::move(entry));
}

bool PhotoWorkers::keep(std::uint64_t first, std::uint64_t count) {
  if (!assembler_->admit(first, stop_)) return false;
  assembler_->keep(first / options_.block_rows, (count + options_.block_rows - 1) / options_.block_rows);
  return true;
}

void PhotoWorkers::know(std::shared_ptr<const KnownRows> rows) {
  const std::lock_guard lock(mutex_);
  known_ = std::move(rows);
}

void PhotoWorkers::end(std::uint64_t total) {
  assembler_->end(total);
  feed_->close();
  assembler_->wait(stop_);
}

void PhotoWorkers::join() {
  feed_->close();
  threads_.clear();
}

void PhotoWorkers::count_reject(const std::string& stage, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  count_reason(reasons_, stage, reason);
}

std::map<std::string, std::uint64_t> PhotoWorkers::reasons() const {
  const std::lock_guard lock(mutex_);
  return reasons_;
}

std::map<std::string, double> PhotoWorkers::stages() const {
  const std::lock_guard lock(mutex_);
  auto stages = stages_;
  stages["read"] = feed_->read_seconds();
  return stages;
}

void PhotoWorkers::reject_photo(PhotoTwins::Twin&& photo, std::int64_t bytes, const Rejection& rejection) {
  RejectRow row;
  row.path = std::move(photo.info.path);
  row.path_bytes = std::move(photo.path_bytes);
  row.stage = to_string(rejection.stage);
  row.reason = escape_path(rejection.reason);
  row.bytes = bytes;
  count_reject(row.stage, row.reason);
  ++counts_.rejected;
  ++counts_.done;
  assembler_->reject(photo.index, std::move(row));
}

void PhotoWorkers::work() {
  PhotoLane lane(network_);
  std::vector<FeedPhoto> photos;
  struct Slot {
    PhotoTwins::Twin photo;
    PhotoTwins::Content content;
  };
  std::vector<Slot> slots;
  std::vector<float> twin_vector(static_cast<std::size_t>(network_.dimension()));
  WorkerTally tally;
  StageClock clock;
  std::shared_ptr<const KnownRows> known;

  const auto infer = [&] {
    lane.infer();
    clock.start();
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      auto& [photo, content] = slots[slot];
      const auto vector = lane.features(slot);
      const PhotoInfo size{.width = photo.info.width, .height = photo.info.height};
      assembler_->put(photo.index, std::move(photo.info), vector);
      ++counts_.done;
      for (PhotoTwins::Twin& twin : twins_.settle(content, size, vector)) {
        assembler_->put(twin.index, std::move(twin.info), vector);
        ++counts_.identical;
        ++counts_.done;
      }
    }
    if (counts_.first_vector < 0) {
      counts_.first_vector = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }
    counts_.computed += slots.size();
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
    for (FeedPhoto& read : photos) {
      clock.start();
      PhotoTwins::Twin photo{read.index, describe_(read.entry),
                             is_utf8(read.entry.path) ? std::string() : read.entry.path};
      if (read.rejection) {
        reject_photo(std::move(photo), std::max<std::int64_t>(read.entry.bytes, 0), *read.rejection);
        continue;
      }
      const PhotoTwins::Content content{content_hash(read.bytes), read.bytes.size()};
      photo.info.hash = content.hash;
      clock.lap(tally.hash);
      if (known) {
        if (auto row = known->find(content.hash)) {
          photo.info.width = row->width;
          photo.info.height = row->height;
          assembler_->put(photo.index, std::move(photo.info), row->vector);
          ++counts_.reused;
          ++counts_.done;
          continue;
        }
        clock.lap(tally.wait);
      }
      switch (twins_.claim(content, photo, twin_vector)) {
        case PhotoTwins::Claim::kWait:
          break;
        case PhotoTwins::Claim::kKnown:
          assembler_->put(photo.index, std::move(photo.info), twin_vector);
          ++counts_.identical;
          ++counts_.done;
          break;
        case PhotoTwins::Claim::kCompute:
          if (const auto decoded = lane.add(read.bytes)) {
            photo.info.width = decoded->width;
            photo.info.height = decoded->height;
            slots.push_back({std::move(photo), content});
            break;
          } else {
            const auto bytes = static_cast<std::int64_t>(content.bytes);
            for (PhotoTwins::Twin& twin : twins_.give_up(content)) {
              reject_photo(std::move(twin), bytes, decoded.error());
            }
            reject_photo(std::move(photo), bytes, decoded.error());
          }
      }
      feed_->recycle(std::move(read.bytes));
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

}  // namespace pomona
