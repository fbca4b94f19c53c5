// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/featurize_batch.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/pipeline/photo_feed.h"
#include "pomona/pipeline/photo_lane.h"
#include "pomona/storage/reader.h"

namespace pomona {
namespace {

constexpr int kLocalReaders = 4;
constexpr int kRemoteReaders = 32;

// RGB without padding, in `image`.
void to_rgb(const RawPixels& raw, Image& image) {
  image.reset(raw.width, raw.height);
  std::uint8_t* out = image.pixels.data();
  const std::size_t red = raw.channels == 1 ? 0 : (raw.bgr ? 2 : 0);
  const std::size_t green = raw.channels == 1 ? 0 : 1;
  const std::size_t blue = raw.channels == 1 ? 0 : 2 - red;
  for (int y = 0; y < raw.height; ++y) {
    const std::uint8_t* in = raw.pixels + static_cast<std::size_t>(y) * raw.row_bytes;
    for (int x = 0; x < raw.width; ++x, in += raw.channels, out += 3) {
      out[0] = in[red];
      out[1] = in[green];
      out[2] = in[blue];
    }
  }
}

Outcome<void> check_pixels(const RawPixels& raw) {
  if (raw.width < 1 || raw.height < 1) return reject(Stage::kDecode, "the picture has no pixels");
  if (raw.channels != 1 && raw.channels != 3 && raw.channels != 4) {
    return reject(Stage::kDecode, "the picture has " + std::to_string(raw.channels) +
                                      " channels; 1 (grey), 3 (RGB) or 4 (RGB and alpha) can be read");
  }
  const std::uint64_t most = DecodeOptions{}.max_pixels;
  if (static_cast<std::uint64_t>(raw.width) * static_cast<std::uint64_t>(raw.height) > most) {
    return reject(Stage::kDecode, "the picture has " + std::to_string(raw.width) + " x " +
                                      std::to_string(raw.height) + " pixels, more than " +
                                      std::to_string(most));
  }
  return {};
}

Outcome<PhotoInfo> add(PhotoLane& lane, const RawPixels& raw, Image& scratch) {
  if (const auto checked = check_pixels(raw); !checked) return std::unexpected(checked.error());
  const bool as_is =
      raw.channels == 3 && !raw.bgr && raw.row_bytes == 3 * static_cast<std::size_t>(raw.width);
  if (!as_is) to_rgb(raw, scratch);
  return lane.add(as_is ? ImageView(raw.width, raw.height, raw.pixels) : ImageView(scratch));
}

}  // namespace

struct BatchFeaturizer::Impl {
  Network network;
  int threads;
  PhotoReader reader;
  std::mutex mutex;
  std::vector<std::unique_ptr<PhotoLane>> idle;  // lanes of calls that are over

  Impl(Network n, int t) : network(std::move(n)), threads(t > 0 ? t : cpu_budget()) {}

  std::unique_ptr<PhotoLane> borrow() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto lane = std::move(idle.back());
        idle.pop_back();
        return lane;
      }
    }
    return std::make_unique<PhotoLane>(network);
  }
  void give_back(std::unique_ptr<PhotoLane> lane) {
    const std::lock_guard lock(mutex);
    if (idle.size() < static_cast<std::size_t>(threads)) idle.push_back(std::move(lane));
  }
};

namespace {

// One call of featurize().
class BatchCall {
 public:
  BatchCall(std::span<const PhotoSource> photos, std::span<float> vectors, std::size_t d,
            std::stop_token stop)
      : photos_(photos),
        vectors_(vectors),
        d_(d),
        outcomes_(photos.size(), PhotoInfo{}),
        forward_stop_(std::move(stop), [this] { stop_.request_stop(); }) {
    for (std::size_t i = 0; i < photos.size(); ++i) {
      (std::holds_alternative<std::string>(photos[i]) ? to_read_ : here_).push_back(i);
    }
  }

  // Opens what reads files, if there are any. `batch` photos per inference.
  void start_reading(const PhotoReader& reader, int workers, int batch) {
    if (to_read_.empty()) return;
    const bool remote = std::ranges::any_of(
        to_read_, [&](std::size_t i) { return is_remote_uri(std::get<std::string>(photos_[i])); });
    PhotoFeed::Options ahead;
    ahead.threads =
        static_cast<int>(std::min<std::size_t>(remote ? kRemoteReaders : kLocalReaders, to_read_.size()));
    ahead.ahead_photos = static_cast<std::size_t>(std::max(4 * ahead.threads, 4 * workers * batch));
    feed_.emplace(reader, ahead, stop_.get_token(),
                  [this](std::exception_ptr error) { fail(std::move(error)); });
  }

  // On the caller's thread, while workers run.
  void list() {
    if (!feed_) return;
    for (const std::size_t i : to_read_) {
      Entry entry;
      entry.path = std::get<std::string>(photos_[i]);
      if (!feed_->push(i, std::move(entry))) break;
    }
    feed_->close();
  }

  void work(PhotoLane& lane) {
    Image scratch;
    std::vector<std::size_t> slots;
    const auto infer = [&] {
      lane.infer();
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        std::ranges::copy(lane.features(slot), row(slots[slot]).begin());
      }
      slots.clear();
    };
    const auto settle = [&](std::size_t i, Outcome<PhotoInfo>&& outcome) {
      outcome ? slots.push_back(i) : refuse(i);
      outcomes_[i] = std::move(outcome);
      if (lane.room() == 0) infer();
    };
    for (std::size_t next = next_++; next < here_.size() && !stop_.stop_requested(); next = next_++) {
      const std::size_t i = here_[next];
      if (const auto* raw = std::get_if<RawPixels>(&photos_[i])) {
        settle(i, add(lane, *raw, scratch));
      } else {
        settle(i, lane.add(std::get<std::span<const std::byte>>(photos_[i])));
      }
    }
    std::vector<FeedPhoto> read;
    while (feed_ && feed_->pop(lane.room(), std::chrono::milliseconds(2), slots.empty(), read)) {
      if (read.empty() && !slots.empty()) infer();  // waiting would cost more than the padding
      for (FeedPhoto& photo : read) {
        settle(photo.index, photo.rejection ? Outcome<PhotoInfo>(std::unexpected(std::move(*photo.rejection)))
                                            : lane.add(photo.bytes));
        feed_->recycle(std::move(photo.bytes));
      }
    }
    if (!slots.empty() && !stop_.stop_requested()) infer();
  }

  void fail(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::move(error);
    }
    stop_.request_stop();
  }

  std::vector<Outcome<PhotoInfo>> finish() {
    {
      // Readers may still be at work, and fail.
      const std::lock_guard lock(mutex_);
      if (error_) std::rethrow_exception(error_);
    }
    if (stop_.stop_requested())
      throw Error(ErrorCode::kCancelled, "stopped before all photos were featurized");
    return std::move(outcomes_);
  }

 private:
  std::span<float> row(std::size_t i) { return vectors_.subspan(i * d_, d_); }
  void refuse(std::size_t i) { std::ranges::fill(row(i), std::numeric_limits<float>::quiet_NaN()); }

  const std::span<const PhotoSource> photos_;
  const std::span<float> vectors_;
  const std::size_t d_;
  std::vector<std::size_t> here_;     // bytes and pixels
  std::vector<std::size_t> to_read_;  // locations
  std::atomic<std::size_t> next_ = 0;
  std::vector<Outcome<PhotoInfo>> outcomes_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;
  std::mutex mutex_;  // guards error_
  std::exception_ptr error_;
  std::optional<PhotoFeed> feed_;  // last: its threads use the others
};

}  // namespace

BatchFeaturizer::BatchFeaturizer(Network network, int threads)
    : impl_(std::make_shared<Impl>(std::move(network), threads)) {}

const Network& BatchFeaturizer::network() const {
  return impl_->network;
}
int BatchFeaturizer::threads() const {
  return impl_->threads;
}

std::vector<Outcome<PhotoInfo>> BatchFeaturizer::featurize(std::span<const PhotoSource> photos,
                                                           std::span<float> vectors,
                                                           std::stop_token stop) const {
  const auto d = static_cast<std::size_t>(impl_->network.dimension());
  if (vectors.size() != photos.size() * d) {
    throw Error(ErrorCode::kMismatch, "room for " + std::to_string(vectors.size()) +
                                          " numbers was given for " + std::to_string(photos.size()) +
                                          " photos of " + std::to_string(d));
  }
  if (photos.empty()) return {};
  BatchCall call(photos, vectors, d, std::move(stop));
  const int workers =
      static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(impl_->threads), photos.size()));
  call.start_reading(impl_->reader, workers, impl_->network.batch());
  const auto work = [&] {
    try {
      auto lane = impl_->borrow();
      call.work(*lane);
      // A lane that was stopped half filled is not to be used again.
      if (lane->filled() == 0) impl_->give_back(std::move(lane));
    } catch (...) {
      call.fail(std::current_exception());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < workers; ++i) threads.emplace_back(work);
    call.list();
  }
  return call.finish();
}

}  // namespace pomona
