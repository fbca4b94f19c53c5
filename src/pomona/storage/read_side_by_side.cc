// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

constexpr std::uint64_t kMostWaiting = 256ull << 20;  // bytes

// The row groups of one file, read by threads of its own, at most `ahead` of them before the one that is
// taken.
class GroupsAhead {
 public:
  GroupsAhead(const BlockReader& file, bool with_vectors, std::size_t threads, std::size_t ahead)
      : file_(file), with_vectors_(with_vectors), ahead_(ahead) {
    for (std::size_t i = 0; i < threads; ++i) {
      readers_.emplace_back([this](const std::stop_token& stop) { read(stop); });
    }
  }

  // The blocks of the next row group. Rethrows what reading it threw.
  std::vector<Block> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_.contains(taken_); });
    Group group = std::move(ready_.extract(taken_++).mapped());
    changed_.notify_all();
    lock.unlock();
    if (group.error) std::rethrow_exception(group.error);
    return std::move(group.blocks);
  }

 private:
  struct Group {
    std::vector<Block> blocks;
    std::exception_ptr error;
  };

  void read(const std::stop_token& stop) {
    for (;;) {
      std::unique_lock lock(mutex_);
      const bool may = changed_.wait(lock, stop, [&] { return next_ < taken_ + ahead_; });
      if (!may || next_ == file_.row_groups()) return;
      const std::size_t number = next_++;
      lock.unlock();
      Group group;
      try {
        file_.read_groups(number, number + 1, with_vectors_, [&](Block&& block) {
          group.blocks.push_back(std::move(block));
          return !stop.stop_requested();
        });
      } catch (...) {
        group.error = std::current_exception();
      }
      lock.lock();
      ready_.emplace(number, std::move(group));
      changed_.notify_all();
    }
  }

  const BlockReader& file_;
  const bool with_vectors_;
  const std::size_t ahead_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::size_t next_ = 0;   // to be read
  std::size_t taken_ = 0;  // to be taken
  std::map<std::size_t, Group> ready_;

  std::vector<std::jthread> readers_;  // last: they use the others
};

}  // namespace

bool read_side_by_side(const BlockReader& file, bool with_vectors, int threads,
                       const std::function<bool(Block&&)>& sink) {
  const std::size_t groups = file.row_groups();
  const std::uint64_t row_bytes = sizeof(float) * static_cast<std::uint64_t>(std::max(file.schema().d, 64));
  const std::uint64_t most_rows = std::max<std::uint64_t>(1, kMostWaiting / row_bytes);
  const std::uint64_t fit = most_rows / std::max<std::uint64_t>(1, file.most_group_rows());
  const auto wanted = static_cast<std::size_t>(std::max(threads, 1));
  const std::size_t ahead = std::min({fit, std::uint64_t{2 * wanted}, std::uint64_t{groups}});
  if (wanted < 2 || ahead < 2) return file.read(with_vectors, sink);

  GroupsAhead reading(file, with_vectors, std::min(wanted, ahead), ahead);
  for (std::size_t i = 0; i < groups; ++i) {
    for (Block& block : reading.take()) {
      if (!sink(std::move(block))) return false;
    }
  }
  return true;
}

}  // namespace pomona
