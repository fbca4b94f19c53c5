// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "models.h"
#include "pomona/base/error.h"
#include "pomona/image/decode.h"

namespace pomona::server {

struct EngineOptions {
  int workers = 0;                             // 0 = cpu_budget()
  std::size_t queue = 512;                     // photos that may wait
  std::chrono::microseconds batch_wait{2000};  // for a batch to fill, under load only
  std::uint64_t max_pixels = 50'000'000;       // of one photo, decoded
  std::optional<JpegScale> jpeg_scale;         // none = as the model was trained
};

// What came out for one photo.
struct PhotoAnswer {
  PhotoInfo info;               // zero where pixels were given
  std::vector<float> features;  // d
  Prediction prediction;
  std::optional<Rejection> rejection;  // then the rest is empty
};

// The photos of one request. Made by a route, filled by the engine, taken back by `done`.
struct Work {
  ModelPointer model;
  std::vector<std::span<const std::byte>> photos;  // encoded; or height x width x 3 pixels where `pixels`
  bool pixels = false;
  bool predict = true;                // heads too
  std::shared_ptr<const void> owner;  // of the bytes
  std::vector<PhotoAnswer> answers;   // as many as photos
  std::string failure;                // of the engine itself; empty = none
  // Called once, on a worker, when all photos are answered. Must be short: photos wait meanwhile.
  std::move_only_function<void(Work*)> done;

  std::atomic<std::size_t> left{0};
  std::mutex mutex;  // guards `failure`
};

// Photos of many requests -> answers. Workers, as many as cores, take photos that wait and run each from
// bytes to probabilities: one alone at once through the network compiled for one photo, many together through
// the one compiled for a batch. Which of the two is quicker for how many is measured when a model is put to
// use; answers are the same to the bit either way. Thread-safe.
class Engine {
 public:
  // `on_batch` is told of every inference: photos in it, seconds.
  Engine(const EngineOptions& options, std::function<void(std::size_t, double)> on_batch);
  ~Engine();  // end()
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // False where the queue has no room for it; then nothing was done. More photos than the whole queue holds
  // are taken when it is empty.
  bool submit(std::shared_ptr<Work> work);

  // Has every worker make its lanes for these models, and let go of those for others. Returns when that is
  // done; photos are answered meanwhile.
  void prepare(std::shared_ptr<const ModelSet> models);

  // Takes no more work, answers what waits and ends the workers.
  void end();

  std::size_t waiting() const;
  int workers() const { return workers_count_; }

 private:
  struct Item {
    std::shared_ptr<Work> work;
    std::size_t index = 0;
  };
  class Worker;

  // Photos of one model for a worker, at most `most`; empty = the engine ends or models changed.
  std::vector<Item> take(std::size_t& full, std::uint64_t generation);
  void run();

  EngineOptions options_;
  int workers_count_;
  std::function<void(std::size_t, double)> on_batch_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable ready_;
  std::condition_variable prepared_;
  std::deque<Item> queue_;
  std::shared_ptr<const ModelSet> models_ = std::make_shared<const ModelSet>();
  std::uint64_t generation_ = 0;
  int prepared_workers_ = 0;
  int idle_ = 0;
  std::size_t batch_ = 8;
  bool ending_ = false;
  std::exception_ptr preparation_error_;
  std::vector<std::jthread> workers_;
};

}  // namespace pomona::server
