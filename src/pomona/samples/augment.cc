// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/augment.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/escape.h"
#include "pomona/base/progress_meter.h"
#include "pomona/base/text.h"
#include "pomona/image/decode.h"
#include "pomona/image/encode.h"
#include "pomona/image/resize.h"
#include "pomona/learn/random.h"
#include "pomona/samples/textures.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/reader.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr int kMostBackgroundTries = 16;
constexpr int kSmallestSize = 32, kLargestSize = 2048;  // pixels

// A seed of its own for each variant of each photo, whoever makes it.
std::uint64_t seed_of(std::uint64_t seed, std::uint64_t photo, std::uint64_t variant) {
  return Random(Random(Random(seed).next() ^ photo).next() ^ variant).next();
}

// A label as the name of a folder that listings do not pass over.
std::string folder_name(const std::string& label) {
  std::string name;
  for (const char c : label) {
    const auto byte = static_cast<unsigned char>(c);
    const bool leads = name.empty() && (c == '.' || c == '_');
    if (byte < 0x20 || byte == 0x7f || c == '/' || c == '%' || leads) {
      append_escaped(name, c);
    } else {
      name += c;
    }
  }
  return name;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error(ErrorCode::kIo,
                "cannot make the folder " + escape_path(folder.string()) + ": " + error.message());
}

// Reads and decodes; keeps its buffers. One per thread.
class PhotoSource {
 public:
  // At least `side` pixels on the shorter side where the photo has them, and not much larger.
  Outcome<void> load(const Entry& entry, int side, Image& image) {
    if (auto read = reader_.read(entry, bytes_); !read) return std::unexpected(read.error());
    DecodeOptions options;
    options.target_width = options.target_height = side;
    if (auto decoded = decoder_.decode(bytes_, options, image); !decoded)
      return std::unexpected(decoded.error());
    const int shorter = std::min(image.width, image.height);
    if (shorter <= 2 * side) return {};
    Image smaller;
    const double factor = 2.0 * side / shorter;
    smaller.reset(static_cast<int>(image.width * factor), static_cast<int>(image.height * factor));
    resizer_.resize(image, smaller.width, smaller.height, Kernel::kBilinear, Fit::kSquash, smaller.pixels);
    image = std::move(smaller);
    return {};
  }

 private:
  PhotoReader reader_;
  Decoder decoder_;
  Resizer resizer_;
  std::vector<std::byte> bytes_;
};

Image crop_square(const Image& image, int left, int top, int side) {
  Image square;
  square.reset(side, side);
  for (int y = 0; y < side; ++y) {
    const std::ptrdiff_t first = 3 * (static_cast<std::ptrdiff_t>(top + y) * image.width + left);
    std::copy_n(image.pixels.begin() + first, 3 * side,
                square.pixels.begin() + static_cast<std::ptrdiff_t>(3) * y * side);
  }
  return square;
}

class Job {
 public:
  Job(const std::vector<AugmentInput>& inputs, const std::string& dest, const AugmentOptions& options,
      const Hooks& hooks, std::stop_token stop)
      : inputs_(inputs),
        dest_(dest),
        options_(options),
        hooks_(hooks),
        stop_(std::move(stop)),
        made_(inputs.size()) {
    if (options.backgrounds) {
      ListingOptions listing;
      listing.sources = {*options.backgrounds};
      list_photos(
          listing,
          [this](Entry&& entry) {
            if (!entry.directory) backgrounds_.push_back(std::move(entry));
            return true;
          },
          stop_);
      if (backgrounds_.empty())
        throw Error(ErrorCode::kNotFound,
                    "there is no photo to use as a background in " + *options.backgrounds);
    }
  }

  AugmentResult run() {
    std::set<std::string> folders;
    for (const AugmentInput& input : inputs_) folders.insert(folder_name(input.label));
    for (const std::string& folder : folders) make_folder(dest_ / folder);
    {
      std::vector<std::jthread> workers;
      const int threads = options_.threads > 0 ? options_.threads : cpu_budget();
      for (int i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
    }
    if (failure_) std::rethrow_exception(failure_);
    if (stop_.stop_requested())
      throw Error(ErrorCode::kCancelled, "stopped while photos were set on other backgrounds");
    for (const auto& photos : made_)
      result_.photos.insert(result_.photos.end(), photos.begin(), photos.end());
    report(true);
    return std::move(result_);
  }

 private:
  enum class Ending : std::uint8_t { kCut, kNoWhite, kUnreadable };

  void work() {
    PhotoSource source;
    while (!stop_.stop_requested() && !failed_) {
      const std::size_t index = next_++;
      if (index >= inputs_.size()) return;
      try {
        std::uint64_t bytes = 0;
        const Ending ending = make(index, source, bytes);
        const std::lock_guard lock(mutex_);
        ++(ending == Ending::kCut       ? result_.cut
           : ending == Ending::kNoWhite ? result_.no_white
                                        : result_.unreadable);
        result_.bytes += bytes;
        report(false);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        failed_ = true;
      }
    }
  }

  Ending make(std::size_t index, PhotoSource& source, std::uint64_t& bytes) {
    const AugmentInput& input = inputs_[index];
    Entry entry;
    entry.path = input.path;
    Image photo;
    if (!source.load(entry, options_.size, photo)) return Ending::kUnreadable;
    const CutOut fruit = cut_out(photo);
    if (!fruit.cut()) return Ending::kNoWhite;
    for (int variant = 0; variant < options_.variants; ++variant) {
      Random random(seed_of(options_.seed, index, static_cast<std::uint64_t>(variant)));
      const Image background = backgrounds_.empty() ? make_background(random.next(), options_.size)
                                                    : crop_background(random, source);
      const Image made = compose(fruit, background, random.next());
      const auto jpeg = encode_jpeg(made, 55 + static_cast<int>(random.below(41)));
      const std::string name = std::to_string(index) + "_" + std::to_string(variant) + ".jpg";
      const fs::path file = dest_ / folder_name(input.label) / name;
      write(file, jpeg);
      bytes += jpeg.size();
      made_[index].push_back({file.string(), input.label, index});
    }
    return Ending::kCut;
  }

  // A square of a photo, at most a few times larger than what is made of it.
  Image crop_background(Random& random, PhotoSource& source) const {
    std::string reason;
    for (int i = 0; i < kMostBackgroundTries; ++i) {
      const Entry& entry = backgrounds_[random.below(backgrounds_.size())];
      Image photo;
      if (const auto loaded = source.load(entry, options_.size, photo); !loaded) {
        reason = escape_path(entry.path) + ": " + loaded.error().reason;
        continue;
      }
      const int shorter = std::min(photo.width, photo.height);
      const int side = std::max(1, static_cast<int>(shorter * (0.5 + 0.5 * random.uniform())));
      const int left = static_cast<int>(random.below(static_cast<std::uint64_t>(photo.width - side) + 1));
      const int top = static_cast<int>(random.below(static_cast<std::uint64_t>(photo.height - side) + 1));
      const Image square = crop_square(photo, left, top, side);
      Image background;
      background.reset(options_.size, options_.size);
      Resizer resizer;
      resizer.resize(square, options_.size, options_.size, Kernel::kBicubic, Fit::kSquash, background.pixels);
      return background;
    }
    throw Error(ErrorCode::kFormat,
                "the photos in " + *options_.backgrounds + " cannot be used as backgrounds: " + reason);
  }

  static void write(const fs::path& file, const std::vector<std::byte>& bytes) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out)
      throw Error(ErrorCode::kIo, "cannot write " + escape_path(file.string()) + ": is the disk full?");
  }

  // With the lock held, or when the workers have ended.
  void report(bool always) {
    meter_.report(always, [&](Progress& progress) {
      progress.done = result_.cut + result_.no_white;
      progress.rejected = result_.unreadable;
      progress.total = inputs_.size();
    });
  }

  const std::vector<AugmentInput>& inputs_;
  const fs::path dest_;
  const AugmentOptions& options_;
  const Hooks& hooks_;
  std::stop_token stop_;
  std::vector<Entry> backgrounds_;
  std::vector<std::vector<AugmentedPhoto>> made_;  // one for each input: no two threads share one
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
  AugmentResult result_;
  ProgressMeter meter_{hooks_};
};

void check_options(const std::string& dest, const AugmentOptions& options) {
  if (options.variants < 1 || options.variants > 1000)
    throw Error(ErrorCode::kUsage,
                "1 to 1000 variants of each photo can be made, not " + std::to_string(options.variants));
  if (options.size < kSmallestSize || options.size > kLargestSize) {
    throw Error(ErrorCode::kUsage, "photos can be made " + std::to_string(kSmallestSize) + " to " +
                                       std::to_string(kLargestSize) + " pixels large, not " +
                                       std::to_string(options.size));
  }
  if (is_remote_uri(dest)) throw Error(ErrorCode::kUsage, dest + ": photos are made in a local folder");
  std::error_code error;
  if (fs::exists(dest, error) && !fs::is_empty(dest, error)) {
    throw Error(ErrorCode::kExists, escape_path(dest) + " holds files already: name an empty or new folder");
  }
}

}  // namespace

std::optional<std::string> parse_augment(const std::string& text) {
  constexpr std::string_view kPrefix = "backgrounds=";
  if (text == "textures") return std::nullopt;
  if (text.starts_with(kPrefix) && text.size() > kPrefix.size()) return text.substr(kPrefix.size());
  throw Error(
      ErrorCode::kUsage,
      "'" + escape_path(text) +
          "' is no kind of augmentation: textures, or backgrounds=DIR with photos to set the fruit on");
}

AugmentResult augment_photos(const std::vector<AugmentInput>& inputs, const std::string& dest,
                             const AugmentOptions& options, const Hooks& hooks, std::stop_token stop) {
  check_options(dest, options);
  return Job(inputs, dest, options, hooks, std::move(stop)).run();
}

}  // namespace pomona
