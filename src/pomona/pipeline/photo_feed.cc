// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/photo_feed.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace pomona {
namespace {

// Buffers above this size are not kept for reuse: one 50 MB photo must not stay with us for the whole job.
constexpr std::size_t kLargestSpare = 1u << 20;

// Growing goes by half, and no faster than the store can show that it helped.
constexpr auto kGrowthPause = std::chrono::milliseconds(100);

std::size_t listed_bytes(const Entry& entry) {
  return static_cast<std::size_t>(std::max<std::int64_t>(entry.bytes, 0));
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

PhotoFeed::PhotoFeed(const PhotoReader& reader, const Options& options, std::stop_token stop,
                     std::function<void(std::exception_ptr)> fail)
    : reader_(reader), options_(options), stop_(std::move(stop)), fail_(std::move(fail)) {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { read_loop(); });
}

PhotoFeed::~PhotoFeed() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting_.clear();
  }
  can_read_.notify_all();
  can_pop_.notify_all();
  threads_.clear();
}

bool PhotoFeed::push(std::uint64_t index, Entry&& entry) {
  std::unique_lock lock(mutex_);
  can_push_.wait(lock, stop_, [&] { return waiting_.size() < options_.ahead_photos; });
  if (stop_.stop_requested()) return false;
  waiting_.push_back({index, std::move(entry), {}, {}});
  const bool wanted = may_read();
  lock.unlock();
  // With the read-ahead full it is who takes photos that wakes readers.
  if (wanted) can_read_.notify_one();
  return true;
}

void PhotoFeed::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  can_read_.notify_all();
  can_pop_.notify_all();
}

// With the lock held.
bool PhotoFeed::may_read() const {
  if (waiting_.empty()) return false;
  const std::size_t held = ready_.size() + reading_;
  return held == 0 || (held < options_.ahead_photos &&
                       held_bytes_ + listed_bytes(waiting_.front().entry) <= options_.ahead_bytes);
}

// With the lock held.
void PhotoFeed::add_threads() {
  const auto now = std::chrono::steady_clock::now();
  const auto most = static_cast<std::size_t>(std::max(options_.most_threads, options_.threads));
  // Photos must be waiting for a thread, and for nothing else. A local disk is not made faster by more of
  // them.
  if (threads_.size() >= most || reading_ < threads_.size() || !may_read() || now - grown_ < kGrowthPause)
    return;
  if (!is_remote_uri(waiting_.front().entry.path)) return;
  grown_ = now;
  const std::size_t wanted = std::min(most, threads_.size() + std::max<std::size_t>(threads_.size() / 2, 1));
  while (threads_.size() < wanted) {
    try {
      threads_.emplace_back([this] { read_loop(); });
    } catch (const std::system_error&) {
      // The machine allows no more threads: it goes on with those there are.
      options_.most_threads = static_cast<int>(threads_.size());
      break;
    }
    ++options_.ahead_photos;
  }
  can_push_.notify_one();
}

void PhotoFeed::read_loop() {
  double spent = 0;
  try {
    std::unique_lock lock(mutex_);
    for (;;) {
      can_read_.wait(lock, stop_, [&] { return waiting_.empty() ? closed_ : may_read(); });
      if (stop_.stop_requested() || waiting_.empty()) break;
      FeedPhoto photo = std::move(waiting_.front());
      waiting_.pop_front();
      ++reading_;
      const std::size_t listed = listed_bytes(photo.entry);
      held_bytes_ += listed;
      if (!spare_.empty()) {
        photo.bytes = std::move(spare_.back());
        spare_.pop_back();
      }
      // The listing sleeps until there is room for many: waking it for each photo would cost a tenth of
      // reading one.
      const bool roomy = waiting_.size() <= options_.ahead_photos / 2;
      lock.unlock();
      if (roomy) can_push_.notify_one();

      const auto begin = std::chrono::steady_clock::now();
      if (auto outcome = reader_.read(photo.entry, photo.bytes); !outcome) {
        photo.rejection = std::move(outcome.error());
        photo.bytes.clear();
      }
      spent += seconds_since(begin);

      lock.lock();
      --reading_;
      held_bytes_ += photo.bytes.size();
      held_bytes_ -= listed;
      ready_.push_back(std::move(photo));
      can_pop_.notify_one();
    }
  } catch (...) {
    fail_(std::current_exception());
  }
  const std::lock_guard lock(mutex_);
  read_seconds_ += spent;
  can_pop_.notify_all();
}

bool PhotoFeed::pop(std::size_t most, std::chrono::microseconds patience, bool wait,
                    std::vector<FeedPhoto>& photos) {
  photos.clear();
  std::unique_lock lock(mutex_);
  const auto drained = [&] { return closed_ && waiting_.empty() && reading_ == 0; };
  do {
    if (ready_.size() < most) add_threads();
    if (wait) can_pop_.wait(lock, stop_, [&] { return !ready_.empty() || drained(); });
    if (stop_.stop_requested()) return false;
    if (ready_.size() < most) {
      can_pop_.wait_for(lock, stop_, patience, [&] { return ready_.size() >= most || drained(); });
      if (stop_.stop_requested()) return false;
    }
    // Others may have taken all while this one was patient.
  } while (wait && ready_.empty() && !drained());
  while (photos.size() < most && !ready_.empty()) {
    held_bytes_ -= ready_.front().bytes.size();
    photos.push_back(std::move(ready_.front()));
    ready_.pop_front();
  }
  const bool more = !ready_.empty() || drained();
  lock.unlock();
  can_read_.notify_all();
  if (more) can_pop_.notify_all();
  return !photos.empty() || !more;
}

void PhotoFeed::recycle(std::vector<std::byte>&& bytes) {
  if (bytes.capacity() == 0 || bytes.capacity() > kLargestSpare) return;
  const std::lock_guard lock(mutex_);
  if (spare_.size() < options_.ahead_photos) spare_.push_back(std::move(bytes));
}

int PhotoFeed::threads() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(threads_.size());
}

double PhotoFeed::read_seconds() const {
  const std::lock_guard lock(mutex_);
  return read_seconds_;
}

}  // namespace pomona
