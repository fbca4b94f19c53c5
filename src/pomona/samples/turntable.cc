// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/turntable.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <numbers>
#include <system_error>
#include <thread>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/base/progress_meter.h"
#include "pomona/base/text.h"
#include "pomona/image/encode.h"
#include "pomona/samples/stamp.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFramesPerTurn = 328;  // as many as Fruits-360 has of most fruits
constexpr int kTestEvery = 4;
constexpr double kShortestSide = 200;
constexpr double kLongestSide = 2'800;
constexpr const char* kMarker = ".turntable";  // hidden: no listing takes it for a photo

constexpr double kTurn = 2 * std::numbers::pi;

// Numbers that depend on what they are for, not on who asks first (SplitMix64).
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream, std::uint64_t index)
      : state_(seed * 0x9E3779B97F4A7C15ULL ^ stream * 0xC2B2AE3D27D4EB4FULL ^
               index * 0x165667B19E3779F9ULL) {
    bits();
  }
  std::uint64_t bits() {
    std::uint64_t x = state_ += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  double uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(bits() >> 11) / 9007199254740992.0);
  }

 private:
  std::uint64_t state_;
};

struct Fruit {
  std::string name;
  Stamp stamp;
  std::uint64_t frames = 0;
};

// What a lamp, a hand and a camera change between two frames: little; between two turns: more.
Stamp::Pose pose_of(const TurntableOptions& options, std::uint64_t fruit, std::uint64_t frame,
                    std::uint64_t frames) {
  const std::uint64_t turn = frame / kFramesPerTurn;
  const std::uint64_t in_turn = std::min(kFramesPerTurn, frames - turn * kFramesPerTurn);
  const double turned = static_cast<double>(frame % kFramesPerTurn) / static_cast<double>(in_turn);
  Random session(options.seed, fruit + 1, turn);
  Random moment(options.seed ^ 0x5851F42D4C957F2DULL, fruit + 1, frame);
  Stamp::Pose pose;
  // A later turn begins between two steps of the first, so that no angle comes twice.
  pose.angle = kTurn * (turned + (turn == 0 ? 0 : session.uniform(0, 1)));
  pose.tilt = session.uniform(0.86, 1.0);
  pose.tilt_axis = session.uniform(0, kTurn);
  pose.fill = std::min(1.0, session.uniform(0.9, 1.0) + moment.uniform(-0.06, 0.02));
  pose.shift_x = moment.uniform(-0.5, 0.5);
  pose.shift_y = moment.uniform(-0.5, 0.5);
  pose.contrast = session.uniform(0.92, 1.1);
  pose.light = session.uniform(0.88, 1.06) * moment.uniform(0.96, 1.04);
  const double warmth = session.uniform(-0.03, 0.04);
  pose.tint = {1 + warmth, 1, 1 - warmth};
  pose.shade = session.uniform(0.05, 0.25);
  pose.lamp = session.uniform(0, kTurn);
  pose.noise = 3;
  pose.seed = moment.bits();
  return pose;
}

void give_size(const TurntableOptions& options, const Stamp& stamp, std::uint64_t fruit, std::uint64_t frame,
               Stamp::Pose& pose, Image& image) {
  if (options.sizes == TurntableSizes::k100) {
    image.reset(100, 100);
    return;
  }
  Random random(options.seed ^ 0x2545F4914F6CDD1DULL, fruit + 1, frame);
  const double side = kShortestSide * std::exp(random.uniform(0, std::log(kLongestSide / kShortestSide)));
  const auto [width, height] = stamp.extent(pose);
  const double scale = side / std::max(width, height);
  image.reset(std::max(8, static_cast<int>(std::lround(width * scale))),
              std::max(8, static_cast<int>(std::lround(height * scale))));
  pose.fill = std::max(pose.fill, 0.94);  // the original-size set is cut to the fruit
}

std::vector<Fruit> load_fruits(const TurntableOptions& options, const Hooks& hooks) {
  std::vector<fs::path> files;
  for (const fs::path& folder : options.stamps) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().extension() == ".png" && entry.is_regular_file(error)) files.push_back(entry.path());
    }
    if (error) {
      throw Error(ErrorCode::kNotFound, "the cut-out photographs are not at " + folder.string() + " (" +
                                            error.message() +
                                            "). Install them: apt-get install tuxpaint-stamps-default");
    }
  }
  std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
    return Stamp::class_name(a) != Stamp::class_name(b) ? Stamp::class_name(a) < Stamp::class_name(b) : a < b;
  });
  std::vector<Fruit> fruits;
  for (const fs::path& file : files) {
    const std::string name = Stamp::class_name(file);
    if (!fruits.empty() && fruits.back().name == name) continue;
    try {
      fruits.push_back({name, Stamp(file), 0});
    } catch (const Error& error) {
      if (hooks.warning) hooks.warning(error.what());
    }
  }
  if (fruits.empty()) {
    throw Error(ErrorCode::kNotFound,
                "no transparent PNG was found where the cut-outs should be. "
                "Install them: apt-get install tuxpaint-stamps-default");
  }
  return fruits;
}

// What was asked for, in words: a run with the same words carries on, another one is another set.
std::string description(const TurntableOptions& options, const std::vector<Fruit>& fruits) {
  std::string text = "turntable 1\ncount " + std::to_string(options.count) + "\nsizes " +
                     std::string(to_string(options.sizes)) + "\nseed " + std::to_string(options.seed) +
                     "\nquality " + std::to_string(options.quality) + "\n";
  for (const Fruit& fruit : fruits) text += fruit.name + "\n";
  return text;
}

void claim_folder(const fs::path& folder, const std::string& wanted) {
  std::error_code error;
  const fs::path marker = folder / kMarker;
  if (fs::exists(folder, error) && !fs::is_empty(folder, error)) {
    if (!fs::exists(marker, error)) {
      throw Error(ErrorCode::kExists,
                  folder.string() + " holds files that are not of a sample set: name an empty or new folder");
    }
    if (read_file(marker) == wanted) return;
    throw Error(ErrorCode::kExists, folder.string() +
                                        " holds sample photos made with other options: name another folder, "
                                        "or remove it first");
  }
  write_file_atomically(marker, wanted);
}

// Whole or not there; no fsync, as what is lost in a power cut is made again.
void write_photo(const fs::path& file, const std::vector<std::byte>& bytes) {
  fs::path temporary = file;
  temporary.replace_filename("." + file.filename().string() + ".tmp");
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) throw Error(ErrorCode::kIo, "cannot write " + temporary.string() + ": is the disk full?");
  }
  std::error_code error;
  fs::rename(temporary, file, error);
  if (error) throw Error(ErrorCode::kIo, "cannot write " + file.string() + ": " + error.message());
}

class Job {
 public:
  Job(const fs::path& folder, const TurntableOptions& options, const Hooks& hooks, std::stop_token stop,
      std::vector<Fruit> fruits)
      : folder_(folder),
        options_(options),
        hooks_(hooks),
        stop_(std::move(stop)),
        fruits_(std::move(fruits)) {
    for (std::size_t f = 0; f < fruits_.size(); ++f) {
      fruits_[f].frames = options.count / fruits_.size() + (f < options.count % fruits_.size() ? 1 : 0);
      starts_.push_back(total_);
      total_ += fruits_[f].frames;
    }
  }

  TurntableResult run() {
    for (const Fruit& fruit : fruits_) {
      for (const char* split : {"Training", "Test"}) {
        std::error_code error;
        fs::create_directories(folder_ / split / fruit.name, error);
        if (error)
          throw Error(ErrorCode::kIo, "cannot make folders in " + folder_.string() + ": " + error.message());
      }
      result_.classes.push_back(fruit.name);
    }
    {
      std::vector<std::jthread> workers;
      const int threads = options_.threads > 0 ? options_.threads : cpu_budget();
      for (int i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
    }
    if (failure_) std::rethrow_exception(failure_);
    if (stop_.stop_requested() && result_.photos < total_) {
      throw Error(ErrorCode::kCancelled, "stopped after " + human_count(result_.photos) +
                                             " photos: the same command carries on from there");
    }
    report(true);
    return result_;
  }

 private:
  void work() {
    Image image;
    while (!stop_.stop_requested() && !failed_) {
      const std::uint64_t index = next_++;
      if (index >= total_) return;
      try {
        make(index, image);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        failed_ = true;
      }
    }
  }

  void make(std::uint64_t index, Image& image) {
    const auto f = static_cast<std::size_t>(std::ranges::upper_bound(starts_, index) - starts_.begin() - 1);
    const Fruit& fruit = fruits_[f];
    const std::uint64_t frame = index - starts_[f];
    // Shifted from class to class, so that a small set has both splits too.
    const bool test = (frame + f) % kTestEvery == kTestEvery - 1;
    const fs::path file =
        folder_ / (test ? "Test" : "Training") / fruit.name /
        (std::to_string(frame) + (options_.sizes == TurntableSizes::k100 ? "_100.jpg" : ".jpg"));
    std::error_code error;
    std::uint64_t bytes = fs::file_size(file, error);
    const bool there = !error;
    if (!there) {
      Stamp::Pose pose = pose_of(options_, f, frame, fruit.frames);
      give_size(options_, fruit.stamp, f, frame, pose, image);
      fruit.stamp.draw(pose, image);
      const auto jpeg = encode_jpeg(image, options_.quality);
      write_photo(file, jpeg);
      bytes = jpeg.size();
    }
    const std::lock_guard lock(mutex_);
    ++result_.photos;
    ++(test ? result_.test : result_.training);
    result_.kept += there ? 1 : 0;
    result_.bytes += bytes;
    report(false);
  }

  // With the lock held, or when the workers have ended.
  void report(bool always) {
    meter_.report(always, [&](Progress& progress) {
      progress.done = result_.photos;
      progress.total = total_;
    });
  }

  const fs::path& folder_;
  const TurntableOptions& options_;
  const Hooks& hooks_;
  std::stop_token stop_;
  std::vector<Fruit> fruits_;
  std::vector<std::uint64_t> starts_;  // of each fruit's photos in the common numbering
  std::uint64_t total_ = 0;
  std::atomic<std::uint64_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
  TurntableResult result_;
  ProgressMeter meter_{hooks_};
};

}  // namespace

std::string_view to_string(TurntableSizes sizes) {
  return sizes == TurntableSizes::k100 ? "100" : "original";
}

TurntableSizes parse_turntable_sizes(std::string_view name) {
  for (const TurntableSizes sizes : {TurntableSizes::k100, TurntableSizes::kOriginal}) {
    if (name == to_string(sizes)) return sizes;
  }
  throw Error(ErrorCode::kUsage, "unknown sizes '" + std::string(name) + "': 100 or original");
}

TurntableResult make_turntable(const fs::path& folder, const TurntableOptions& options, const Hooks& hooks,
                               std::stop_token stop) {
  if (options.count == 0) throw Error(ErrorCode::kUsage, "--count must be at least 1");
  if (options.quality < 1 || options.quality > 100)
    throw Error(ErrorCode::kUsage, "JPEG quality goes from 1 to 100");
  std::vector<Fruit> fruits = load_fruits(options, hooks);
  claim_folder(folder, description(options, fruits));
  return Job(folder, options, hooks, std::move(stop), std::move(fruits)).run();
}

}  // namespace pomona
