// SPDX-License-Identifier: Apache-2.0
#include "chores.h"

#include <exception>

namespace pomona::server {

Chores::Chores(int threads, std::size_t most, std::function<void(const std::string&)> complain)
    : most_(most), complain_(std::move(complain)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

Chores::~Chores() {
  end();
}

void Chores::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ready_.notify_all();
  threads_.clear();
}

bool Chores::post(std::move_only_function<void()> chore) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || queue_.size() >= most_) return false;
    queue_.push_back(std::move(chore));
  }
  ready_.notify_one();
  return true;
}

void Chores::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto chore = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    try {
      chore();
    } catch (const std::exception& error) {
      // Whoever waits for the chore's answer is told when it goes away: to see the log, so it must be there.
      if (complain_) complain_(error.what());
    }
  }
}

}  // namespace pomona::server
