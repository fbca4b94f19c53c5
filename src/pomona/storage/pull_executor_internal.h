// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arrow/util/thread_pool.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace pomona {

// Runs tasks on the thread that waits for their result, and only while it waits. Tasks may come from any
// thread.
class PullExecutor final : public arrow::internal::Executor {
 public:
  // Whoever waits for a task that is left hears that it was cancelled.
  ~PullExecutor() override {
    for (std::deque<Task> left = take_all(); !left.empty(); left = take_all()) {
      for (Task& task : left) {
        if (task.cancelled) {
          std::move(task.cancelled)(arrow::Status::Cancelled("the listing was ended"));
        } else {
          std::move(task.run)();
        }
      }
    }
  }

  int GetCapacity() override { return 1; }

  // Runs tasks until `done()`.
  template <typename Done>
  void run_until(Done done) {
    std::unique_lock lock(mutex_);
    while (!done()) {
      if (tasks_.empty()) {
        // What we wait for may be finished by a thread of somebody else's.
        added_.wait_for(lock, std::chrono::milliseconds(5));
        continue;
      }
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      std::move(task.run)();
      lock.lock();
    }
  }

 protected:
  arrow::Status SpawnReal(arrow::internal::TaskHints, arrow::internal::FnOnce<void()> task, arrow::StopToken,
                          StopCallback&& cancelled) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(task), std::move(cancelled)});
    added_.notify_one();
    return arrow::Status::OK();
  }

 private:
  struct Task {
    arrow::internal::FnOnce<void()> run;
    StopCallback cancelled;
  };

  std::deque<Task> take_all() {
    const std::lock_guard lock(mutex_);
    return std::exchange(tasks_, {});
  }

  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<Task> tasks_;
};

}  // namespace pomona
