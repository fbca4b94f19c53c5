// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/block_assembler.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace pomona {

BlockAssembler::BlockAssembler(std::size_t block_rows, int d, std::uint64_t window, Sink sink)
    : block_rows_(block_rows),
      d_(static_cast<std::size_t>(d)),
      window_(std::max<std::uint64_t>(window, block_rows)),
      sink_(std::move(sink)) {}

bool BlockAssembler::admit(std::uint64_t index, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [&] { return index < next_ * block_rows_ + window_; });
  return !stop.stop_requested();
}

BlockAssembler::Open& BlockAssembler::open_block(std::uint64_t number) {
  const auto [at, fresh] = open_.try_emplace(number);
  if (fresh) at->second.rows.resize(block_rows_);
  return at->second;
}

void BlockAssembler::put(std::uint64_t index, RowInfo&& info, std::span<const float> vector) {
  const std::size_t position = index % block_rows_;
  std::unique_lock lock(mutex_);
  Open& block = open_block(index / block_rows_);
  if (block.vectors.empty()) block.vectors.resize(block_rows_ * d_);
  float* to = block.vectors.data() + position * d_;
  block.rows[position] = std::move(info);
  // Each row is one worker's alone, and the block is not passed on before it is counted: copy unlocked.
  lock.unlock();
  std::memcpy(to, vector.data(), d_ * sizeof(float));
  lock.lock();
  ++block.resolved;
  drain(lock);
}

void BlockAssembler::reject(std::uint64_t index, RejectRow&& row) {
  std::unique_lock lock(mutex_);
  Open& block = open_block(index / block_rows_);
  block.rejects.emplace_back(index % block_rows_, std::move(row));
  ++block.resolved;
  drain(lock);
}

void BlockAssembler::keep(std::uint64_t first, std::uint64_t count) {
  std::unique_lock lock(mutex_);
  for (std::uint64_t number = first; number < first + count; ++number) open_[number].kept = true;
  drain(lock);
}

void BlockAssembler::end(std::uint64_t total) {
  std::unique_lock lock(mutex_);
  total_ = total;
  drain(lock);
  lock.unlock();
  changed_.notify_all();
}

bool BlockAssembler::complete(std::uint64_t number, const Open& block) const {
  if (block.kept || block.resolved == block_rows_) return true;
  return total_ && *total_ < (number + 1) * block_rows_ && block.resolved == *total_ - number * block_rows_;
}

Block BlockAssembler::pack(Open&& block) const {
  Block packed;
  packed.vectors = std::move(block.vectors);
  std::size_t count = 0;
  for (std::size_t i = 0; i < block.rows.size(); ++i) {
    if (!block.rows[i]) continue;
    if (count != i) {
      std::memmove(packed.vectors.data() + count * d_, packed.vectors.data() + i * d_, d_ * sizeof(float));
    }
    packed.rows.push_back(std::move(*block.rows[i]));
    ++count;
  }
  packed.vectors.resize(count * d_);
  std::ranges::sort(block.rejects, {}, &std::pair<std::size_t, RejectRow>::first);
  for (auto& [position, row] : block.rejects) packed.rejects.push_back(std::move(row));
  return packed;
}

void BlockAssembler::drain(std::unique_lock<std::mutex>& lock) {
  if (draining_) return;  // the thread that drains looks again before it leaves
  draining_ = true;
  for (;;) {
    const auto at = open_.find(next_);
    if (at == open_.end() || !complete(next_, at->second)) break;
    Open block = std::move(at->second);
    open_.erase(at);
    const std::uint64_t number = next_;
    lock.unlock();
    try {
      const bool kept = block.kept;
      sink_(number, pack(std::move(block)), kept);
    } catch (...) {
      lock.lock();
      draining_ = false;
      throw;
    }
    lock.lock();
    ++next_;
    changed_.notify_all();
  }
  draining_ = false;
  changed_.notify_all();
}

void BlockAssembler::wait(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [&] { return total_ && next_ * block_rows_ >= *total_ && !draining_; });
}

}  // namespace pomona
