// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/quantize.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/image/decode.h"
#include "pomona/image/resize.h"
#include "pomona/model/network_file.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/model/quantize.h"
#include "pomona/model/registry.h"
#include "pomona/pipeline/photo_sample.h"
#include "pomona/pipeline/scratch_folder.h"
#include "pomona/storage/reader.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kTurn{500};  // of one precision, of which kTurns are measured by turns
constexpr int kTurns = 3;
constexpr std::size_t kFewPhotos = 8;  // fewer different ones choose the ranges badly

// Photos as the network takes them, one after the other.
class Pixels {
 public:
  explicit Pixels(const PreprocessSpec& spec) : spec_(spec) {
    decode_.exif_orientation = spec.exif_orientation;
    decode_.jpeg_scale = spec.jpeg_scale;
    decode_.target_width = spec.width;
    decode_.target_height = spec.height;
  }

  std::size_t photo_bytes() const {
    return 3 * static_cast<std::size_t>(spec_.width) * static_cast<std::size_t>(spec_.height);
  }
  std::size_t count() const { return pixels_.size() / photo_bytes(); }
  std::size_t different() const { return seen_.size(); }
  std::span<const std::uint8_t> all() const { return pixels_; }
  std::span<const std::uint8_t> photo(std::size_t at) const {
    return std::span(pixels_).subspan(at * photo_bytes(), photo_bytes());
  }

  // False where the photo cannot be decoded.
  bool add(std::span<const std::byte> encoded) {
    if (!decoder_.decode(encoded, decode_, image_)) return false;
    const std::size_t before = pixels_.size();
    pixels_.resize(before + photo_bytes());
    resizer_.resize(image_, spec_.width, spec_.height, spec_.kernel, spec_.fit,
                    std::span(pixels_).subspan(before));
    seen_.insert(content_hash(std::as_bytes(std::span(pixels_).subspan(before))));
    return true;
  }

 private:
  PreprocessSpec spec_;
  DecodeOptions decode_;
  Decoder decoder_;
  Resizer resizer_;
  Image image_;
  std::vector<std::uint8_t> pixels_;
  std::set<ContentHash> seen_;  // of each, as resized
};

std::vector<float> features_of(const Network& network, const Pixels& photos) {
  InferLane lane = network.make_lane();
  const auto batch = static_cast<std::size_t>(network.batch());
  std::vector<float> features;
  for (std::size_t first = 0; first < photos.count(); first += batch) {
    const std::size_t filled = std::min(batch, photos.count() - first);
    for (std::size_t slot = 0; slot < filled; ++slot) {
      std::ranges::copy(photos.photo(first + slot), lane.pixels(static_cast<int>(slot)).begin());
    }
    lane.infer();
    for (std::size_t slot = 0; slot < filled; ++slot) {
      const auto vector = lane.features(static_cast<int>(slot));
      features.insert(features.end(), vector.begin(), vector.end());
    }
  }
  return features;
}

// Photos inferred a second, all streams busy for one turn.
double rate_of(const Network& network, const Pixels& photos) {
  using std::chrono::steady_clock;
  std::atomic<std::uint64_t> done = 0;
  const auto begin = steady_clock::now();
  {
    std::vector<std::jthread> workers;
    for (int stream = 0; stream < network.streams(); ++stream) {
      workers.emplace_back([&, lane = network.make_lane()]() mutable {
        for (int slot = 0; slot < network.batch(); ++slot) {
          const std::size_t at = static_cast<std::size_t>(slot) % photos.count();
          std::ranges::copy(photos.photo(at), lane.pixels(slot).begin());
        }
        while (steady_clock::now() - begin < kTurn) {
          lane.infer();
          done += static_cast<std::uint64_t>(network.batch());
        }
      });
    }
  }
  return static_cast<double>(done) / std::chrono::duration<double>(steady_clock::now() - begin).count();
}

void compare_with(const std::vector<float>& exact, const std::vector<float>& features, std::size_t d,
                  PrecisionFigures& figures) {
  std::vector<double> cosines;
  for (std::size_t at = 0; at + d <= exact.size(); at += d) {
    const auto a = exact.begin() + static_cast<std::ptrdiff_t>(at);
    const auto b = features.begin() + static_cast<std::ptrdiff_t>(at);
    const auto n = static_cast<std::ptrdiff_t>(d);
    const double norms =
        std::sqrt(std::inner_product(a, a + n, a, 0.0) * std::inner_product(b, b + n, b, 0.0));
    // Nothing is like nothing; a vector that is lost is not.
    const bool same = std::equal(a, a + n, b);
    cosines.push_back(norms > 0 ? std::inner_product(a, a + n, b, 0.0) / norms : (same ? 1 : 0));
  }
  std::ranges::sort(cosines);
  figures.least_cosine = cosines.front();
  figures.median_cosine = cosines[cosines.size() / 2];
}

NetworkOptions at_precision(NetworkOptions options, Precision precision) {
  options.precision = precision;
  return options;
}

}  // namespace

QuantizeResult quantize(const QuantizeOptions& options, const Hooks& hooks, std::stop_token stop) {
  if (options.calibrate < 1 || options.compare < 1) {
    throw Error(ErrorCode::kUsage,
                "at least one photo is needed to choose the ranges, and one to compare on");
  }
  const Network exact = Network::load(at_precision(options.network, Precision::kF32));
  if (network_format(exact.file()) != NetworkFormat::kOnnx) {
    throw Error(ErrorCode::kUnavailable,
                exact.file().string() +
                    ": only an ONNX network can be quantized. Convert it to ONNX first (for TensorFlow and "
                    "TFLite: tf2onnx)");
  }
  QuantizeResult result;
  result.name = options.name.empty() ? fs::path(exact.name()).stem().string() + "-int8" : options.name;
  // Before the work, and not after it.
  for (const ModelCard& card : list_models()) {
    if (card.name == result.name) {
      throw Error(ErrorCode::kExists, "there is a network named `" + result.name +
                                          "` already: give another --name, or remove " +
                                          card.file.parent_path().string());
    }
  }

  const PhotoSample sample = sample_photos(
      options.listing,
      {.most = static_cast<std::uint64_t>(options.calibrate) + static_cast<std::uint64_t>(options.compare),
       .seed = options.seed},
      stop);
  Pixels calibration(exact.preprocess()), comparison(exact.preprocess());
  const PhotoReader reader;
  std::vector<std::byte> bytes;
  const double share = static_cast<double>(options.calibrate) / (options.calibrate + options.compare);
  for (std::size_t at = 0; at < sample.photos.size() && !stop.stop_requested(); ++at) {
    // Spread evenly: neighbours in a listing are alike.
    const bool calibrates =
        std::floor(share * static_cast<double>(at + 1)) > std::floor(share * static_cast<double>(at));
    const bool read = reader.read(sample.photos[at], bytes).has_value();
    if (!read || !(calibrates ? calibration : comparison).add(bytes)) ++result.rejected;
  }
  result.calibrated = calibration.count();
  result.compared = comparison.count();
  if (stop.stop_requested()) return result;
  if (result.calibrated == 0 || result.compared == 0) {
    throw Error(ErrorCode::kNotFound,
                "of " + std::to_string(sample.photos.size()) + " photos " + std::to_string(result.rejected) +
                    " cannot be read, which leaves " + std::to_string(result.calibrated) +
                    " to choose the 8-bit ranges by and " + std::to_string(result.compared) +
                    " to compare on: give more photos, or share them out with --calibrate and --compare");
  }
  if (calibration.different() < kFewPhotos && hooks.warning) {
    hooks.warning("the ranges are chosen by " + std::to_string(calibration.different()) + " different photo" +
                  (calibration.different() == 1 ? "" : "s") +
                  ": vectors of photos unlike them may be far from the original's. Give photos of the kind "
                  "the network will see, and more of them");
  }

  const OnnxModel plain = load_onnx(exact.file());
  inline_external_data(*plain, exact.file().has_parent_path() ? exact.file().parent_path() : ".");
  QuantizedNetwork quantized;
  try {
    quantized = quantize_network(*plain, exact.preprocess(), calibration.all(), hooks, stop);
  } catch (const Error& error) {
    throw Error(error.code(), exact.file().string() + ": " + error.what());
  }
  if (stop.stop_requested()) return result;
  result.quantized = quantized.quantized;
  result.convolutions = quantized.convolutions;
  set_onnx_metadata(*quantized.model, "pomona.quantized",
                    nlohmann::json{{"from_sha256", network_sha256(exact.file())},
                                   {"photos", result.calibrated},
                                   {"input_width", exact.preprocess().width},
                                   {"input_height", exact.preprocess().height}}
                        .dump());

  const ScratchFolder scratch;
  const fs::path file = scratch.path() / (result.name + ".onnx");
  write_file_atomically(file, serialize_onnx(*quantized.model));
  const std::string layer = exact.fingerprint().identity.at("layer").get<std::string>();
  std::string licence;
  for (const ModelCard& card : list_models()) {
    if (card.name == exact.name()) licence = card.licence;
  }
  const ModelCard card = add_model(result.name, file, exact.preprocess(), layer, licence);
  result.file = card.file;

  NetworkOptions own = options.network;
  own.model = result.name;
  own.preprocess.reset();
  own.layer = "penultimate";
  std::vector<std::pair<std::string, Network>> ways = {{"f32", exact}};
  const bool bf16 = cpu_features().bf16();
  if (bf16) ways.emplace_back("bf16", Network::load(at_precision(options.network, Precision::kBf16)));
  // What the name means from now on, and where that is not integers alone, what else there is.
  const Network made = Network::load(at_precision(own, Precision::kAuto));
  if (made.fingerprint().precision == to_string(Precision::kInt8)) {
    ways.emplace_back("int8", made);
  } else {
    ways.emplace_back("int8 and f32", Network::load(at_precision(own, Precision::kF32)));
    if (bf16) ways.emplace_back("int8 and bf16", made);
  }
  const std::vector<float> reference = features_of(exact, comparison);
  std::vector<std::vector<double>> rates(ways.size());
  for (int turn = 0; turn < kTurns && !stop.stop_requested(); ++turn) {
    for (std::size_t way = 0; way < ways.size(); ++way) {
      rates[way].push_back(rate_of(ways[way].second, comparison));
    }
  }
  for (std::size_t way = 0; way < ways.size() && !stop.stop_requested(); ++way) {
    PrecisionFigures figures{.name = ways[way].first};
    std::ranges::sort(rates[way]);
    figures.photos_per_second = rates[way][rates[way].size() / 2];
    compare_with(reference, features_of(ways[way].second, comparison),
                 static_cast<std::size_t>(exact.dimension()), figures);
    result.figures.push_back(std::move(figures));
  }
  return result;
}

}  // namespace pomona
