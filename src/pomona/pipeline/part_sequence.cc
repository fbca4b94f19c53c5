// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/part_sequence.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/storage/hold_place.h"

namespace pomona {
namespace {

constexpr std::size_t kQueuedBlocks = 2;

}  // namespace

PartSequence::PartSequence(const Store& dest, const Schema& schema, std::string run_id,
                           std::uint64_t blocks_per_part, std::function<void(std::exception_ptr)> fail,
                           bool staged, std::string file_id)
    : dest_(dest),
      schema_(schema),
      run_id_(std::move(run_id)),
      blocks_per_part_(blocks_per_part),
      fail_(std::move(fail)),
      staged_(staged),
      file_id_(std::move(file_id)),
      thread_([this] { loop(); }) {}

PartSequence::~PartSequence() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    failed_ = true;
    queue_.clear();
  }
  changed_.notify_all();
}

void PartSequence::describe(std::uint64_t index, nlohmann::json extra) {
  const std::lock_guard lock(mutex_);
  extras_[index] = std::move(extra);
}

void PartSequence::write(std::uint64_t number, Block&& block, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [&] { return failed_ || queue_.size() < kQueuedBlocks; });
  if (failed_ || stop.stop_requested()) return;
  queue_.push_back({number, std::move(block)});
  changed_.notify_all();
}

void PartSequence::keep(const PartRecord& record) {
  const std::lock_guard lock(mutex_);
  records_.push_back(record);
}

void PartSequence::loop() {
  try {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return closed_ || !queue_.empty(); });
      if (queue_.empty()) break;
      Item item = std::move(queue_.front());
      queue_.pop_front();
      changed_.notify_all();
      lock.unlock();
      const auto begin = std::chrono::steady_clock::now();
      write_block(std::move(item));
      seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      lock.lock();
    }
    const bool whole = !failed_;
    lock.unlock();
    if (whole && part_) publish();
    part_.reset();
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      failed_ = true;
      queue_.clear();
    }
    part_.reset();
    changed_.notify_all();
    fail_(std::current_exception());
  }
}

void PartSequence::write_block(Item&& item) {
  if (!part_) {
    part_index_ = item.number / blocks_per_part_;
    unread_ = 0;
    groups_.clear();
    part_.emplace(dest_, schema_, run_id_, part_index_, file_id_);
  }
  unread_ += static_cast<std::uint64_t>(std::ranges::count_if(item.block.rejects, [](const RejectRow& row) {
    return row.stage == to_string(Stage::kRead) || row.stage == to_string(Stage::kList);
  }));
  if (!item.block.rows.empty()) groups_.push_back(item.block.rows.size());
  part_->write(item.block);
  if ((item.number + 1) % blocks_per_part_ == 0) publish();
}

void PartSequence::publish() {
  nlohmann::json extra;
  {
    const std::lock_guard lock(mutex_);
    extra = std::move(extras_[part_index_]);
    extras_.erase(part_index_);
  }
  extra["unread"] = unread_;
  extra["groups"] = groups_;
  PartRecord record = part_->finish(std::move(extra));
  part_.reset();
  if (!staged_) require_running(dest_, run_id_, &record);
  const std::lock_guard lock(mutex_);
  records_.push_back(std::move(record));
}

std::vector<PartRecord> PartSequence::finish() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  thread_.join();
  std::ranges::sort(records_, {}, &PartRecord::index);
  return records_;
}

double PartSequence::seconds() const {
  return seconds_;
}

}  // namespace pomona
