// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "pomona/base/cpu.h"
#include "pomona/image/resize.h"

namespace pomona::server {
namespace {

using std::chrono::steady_clock;

constexpr int kTrials = 3;

double seconds_since(steady_clock::time_point begin) {
  return std::chrono::duration<double>(steady_clock::now() - begin).count();
}

double best_time(InferLane& lane) {
  double best = 1e9;
  for (int i = 0; i < kTrials; ++i) {
    const auto begin = steady_clock::now();
    lane.infer();
    best = std::min(best, seconds_since(begin));
  }
  return best;
}

// A model's lanes on one worker.
struct Lanes {
  Lanes(ModelPointer its, bool measure)
      : model(std::move(its)), single(model->single.make_lane()), many(model->many.make_lane()) {
    if (!measure) return;
    single.infer();
    many.infer();
    const double one = best_time(single);
    const double all = best_time(many);
    // From how many photos on a padded batch is quicker than one after another.
    worthwhile = static_cast<std::size_t>(std::max(2.0, all / one));
  }
  ModelPointer model;
  InferLane single;
  InferLane many;
  std::size_t worthwhile = 4;
};

}  // namespace

// One thread's decoder, resizer and lanes.
class Engine::Worker {
 public:
  explicit Worker(Engine& engine) : engine_(engine) {}

  void use(const ModelSet& models) {
    std::map<const Model*, std::unique_ptr<Lanes>> next;
    for (const ModelPointer& model : models) {
      const auto known = lanes_.find(model.get());
      next[model.get()] =
          known != lanes_.end() ? std::move(known->second) : std::make_unique<Lanes>(model, true);
    }
    lanes_ = std::move(next);
  }

  void run(std::vector<Item>& items) {
    const ModelPointer model = items.front().work->model;
    try {
      run_with(lanes(model), items);
    } catch (const std::exception& error) {
      for (Item& item : items) {
        if (!item.work) continue;
        {
          const std::lock_guard lock(item.work->mutex);
          item.work->failure = error.what();
        }
        finish(item);
      }
    }
    // A request that came with a model that was replaced meanwhile.
    std::erase_if(passing_, [](const auto& lane) { return lane.second->model.use_count() <= 1; });
  }

 private:
  Lanes& lanes(const ModelPointer& model) {
    if (const auto known = lanes_.find(model.get()); known != lanes_.end()) return *known->second;
    auto& own = passing_[model.get()];
    if (!own) own = std::make_unique<Lanes>(model, false);
    return *own;
  }

  void run_with(Lanes& lanes, std::vector<Item>& items) {
    if (items.size() < lanes.worthwhile || lanes.model->many.batch() == 1) {
      for (Item& item : items) {
        if (fill(item, lanes.single.pixels(0))) {
          infer(lanes.single, 1);
          answer(item, lanes.single.features(0));
        }
        finish(item);
      }
      return;
    }
    std::vector<Item*> slots;
    for (Item& item : items) {
      if (fill(item, lanes.many.pixels(static_cast<int>(slots.size())))) {
        slots.push_back(&item);
      } else {
        finish(item);
      }
    }
    if (slots.empty()) return;
    infer(lanes.many, slots.size());
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      answer(*slots[slot], lanes.many.features(static_cast<int>(slot)));
      finish(*slots[slot]);
    }
  }

  void infer(InferLane& lane, std::size_t photos) {
    const auto begin = steady_clock::now();
    lane.infer();
    engine_.on_batch_(photos, seconds_since(begin));
  }

  // A photo's pixels into a lane's slot; false where it was rejected.
  bool fill(Item& item, std::span<std::uint8_t> slot) {
    Work& work = *item.work;
    const std::span<const std::byte> bytes = work.photos[item.index];
    if (work.pixels) {
      if (bytes.size() != slot.size())
        throw Error(ErrorCode::kMismatch, "pixels of another size than the model's");
      std::memcpy(slot.data(), bytes.data(), slot.size());
      return true;
    }
    const PreprocessSpec& spec = work.model->single.preprocess();
    DecodeOptions options;
    options.exif_orientation = spec.exif_orientation;
    options.jpeg_scale = engine_.options_.jpeg_scale.value_or(spec.jpeg_scale);
    options.target_width = spec.width;
    options.target_height = spec.height;
    options.max_pixels = engine_.options_.max_pixels;
    PhotoAnswer& out = work.answers[item.index];
    const auto info = decoder_.decode(bytes, options, image_);
    if (!info) {
      out.rejection = info.error();
      return false;
    }
    out.info = *info;
    resizer_.resize(image_, spec.width, spec.height, spec.kernel, spec.fit, slot);
    return true;
  }

  void answer(Item& item, std::span<const float> features) {
    PhotoAnswer& out = item.work->answers[item.index];
    out.features.assign(features.begin(), features.end());
    if (item.work->predict) out.prediction = item.work->model->predictor.predict(features, 1).front();
  }

  void finish(Item& item) {
    const std::shared_ptr<Work> work = std::move(item.work);
    if (work->left.fetch_sub(1) != 1) return;
    auto done = std::move(work->done);
    try {
      done(work.get());
    } catch (const std::exception&) {
      // The reply that it held answers for itself when it goes away.
    }
  }

  Engine& engine_;
  Decoder decoder_;
  Resizer resizer_;
  Image image_;
  std::map<const Model*, std::unique_ptr<Lanes>> lanes_;
  std::map<const Model*, std::unique_ptr<Lanes>> passing_;
};

Engine::Engine(const EngineOptions& options, std::function<void(std::size_t, double)> on_batch)
    : options_(options),
      workers_count_(options.workers > 0 ? options.workers : cpu_budget()),
      on_batch_(std::move(on_batch)) {
  for (int i = 0; i < workers_count_; ++i) workers_.emplace_back([this] { run(); });
}

Engine::~Engine() {
  end();
}

void Engine::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ready_.notify_all();
  workers_.clear();
}

bool Engine::submit(std::shared_ptr<Work> work) {
  const std::size_t count = work->photos.size();
  work->answers.resize(count);
  work->left = count;
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || (!queue_.empty() && queue_.size() + count > options_.queue)) return false;
    for (std::size_t i = 0; i < count; ++i) queue_.push_back({work, i});
  }
  // All: whoever waits for a batch to fill must not swallow what an idle worker should take.
  ready_.notify_all();
  return true;
}

void Engine::prepare(std::shared_ptr<const ModelSet> models) {
  std::unique_lock lock(mutex_);
  models_ = std::move(models);
  if (!models_->empty()) batch_ = static_cast<std::size_t>(models_->front()->many.batch());
  prepared_workers_ = 0;
  preparation_error_ = nullptr;
  ++generation_;
  ready_.notify_all();
  prepared_.wait(lock, [this] { return prepared_workers_ == workers_count_ || ending_; });
  if (preparation_error_) std::rethrow_exception(preparation_error_);
}

std::size_t Engine::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

std::vector<Engine::Item> Engine::take(std::size_t& full, std::uint64_t generation) {
  std::unique_lock lock(mutex_);
  ++idle_;
  ready_.wait(lock, [&] { return ending_ || generation_ != generation || !queue_.empty(); });
  --idle_;
  std::vector<Item> items;
  if (generation_ != generation || queue_.empty()) return items;
  // A photo that waits is shared out among the workers that wait for one. Only where the last batch was full
  // are there likely to be more photos on their way, so that waiting for them pays.
  if (full >= batch_ && queue_.size() < batch_ && idle_ == 0 && options_.batch_wait.count() > 0) {
    ready_.wait_for(lock, options_.batch_wait, [&] { return ending_ || queue_.size() >= batch_; });
    if (queue_.empty()) return items;
  }
  const auto sharing = static_cast<std::size_t>(idle_) + 1;
  const std::size_t most = std::clamp<std::size_t>((queue_.size() + sharing - 1) / sharing, 1, batch_);
  const Model* model = queue_.front().work->model.get();
  while (items.size() < most && !queue_.empty() && queue_.front().work->model.get() == model) {
    items.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  full = items.size();
  if (!queue_.empty() && idle_ > 0) ready_.notify_one();
  return items;
}

void Engine::run() {
  Worker worker(*this);
  std::uint64_t generation = 0;
  std::size_t full = 0;
  for (;;) {
    std::vector<Item> items = take(full, generation);
    if (!items.empty()) {
      worker.run(items);
      continue;
    }
    std::unique_lock lock(mutex_);
    if (generation != generation_) {
      generation = generation_;
      const auto models = models_;
      lock.unlock();
      std::exception_ptr error;
      try {
        worker.use(*models);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error) preparation_error_ = error;
      if (generation == generation_) ++prepared_workers_;
      lock.unlock();
      prepared_.notify_all();
      continue;
    }
    if (ending_ && queue_.empty()) return;
  }
}

}  // namespace pomona::server
