// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pomona/model/fingerprint.h"
#include "pomona/model/preprocess.h"

namespace onnx {
class ModelProto;
}

namespace pomona {

// kInt8: a quantized network of the MobileNet kind as IntegerNetwork computes it, the rest in 16 bits of
// fixed point.
enum class Precision : std::uint8_t { kAuto, kF32, kBf16, kInt8 };
enum class Pool : std::uint8_t {
  kAuto,  // average where the layer's output has height and width, none where it is flat
  kAvg,
  kMax,
  kNone,  // flatten, in the network's own order with channels last (Keras's Flatten)
};

// How the tensor a network is cut at lies in memory.
enum class MapLayout : std::uint8_t {
  kFlat,           // one vector per photo
  kChannelsFirst,  // a map: channels, height, width
  kChannelsLast,   // a map: height, width, channels
};

Precision parse_precision(std::string_view name);  // Throws Error{kUsage} that lists the names.
Pool parse_pool(std::string_view name);
std::string_view to_string(Precision precision);
// As a fingerprint's precision says, where this CPU can; else f32.
Precision precision_like(std::string_view trained);
std::string_view to_string(Pool pool);

struct NetworkOptions {
  // A name of the registry, or a path (.onnx, .xml, .tflite, SavedModel folder). An .onnx that is a model
  // file (embedded.h) brings its own preprocessing, layer, pool and size along.
  std::string model = "efficientnet-lite0";
  std::optional<std::string> preprocess;  // mode or JSON file; needed for a bare path, else the card's
  std::string layer = "penultimate";      // or the name of a tensor or node
  Pool pool = Pool::kAuto;
  std::optional<int> input_size;  // pixels, both sides; none = the card's
  // auto = int8 where the network is quantized for it and the CPU can, else bf16 where the CPU can, else f32.
  Precision precision = Precision::kAuto;
  std::optional<Kernel> kernel;  // none = the card's (bicubic)
  std::optional<Fit> fit;        // none = squash
  bool exif_orientation = true;
  JpegScale jpeg_scale = JpegScale::kAuto;
  int batch = 0;              // photos per inference, static, a partial batch is padded; 0 = by input size
  int streams = 0;            // concurrent InferLanes; 0 = cpu_budget()
  bool compile_cache = true;  // keep the compiled network under cache_home()
};

// One stream of inference: its own request and tensors. Not thread-safe: one lane per worker thread.
class InferLane {
 public:
  ~InferLane();
  InferLane(InferLane&&) noexcept;
  InferLane& operator=(InferLane&&) noexcept;

  // The pixels of photo `slot` (0 <= slot < batch): height x width x 3 RGB bytes, to be written before
  // infer().
  std::span<std::uint8_t> pixels(int slot);

  // Runs the network over the whole (static) batch and returns when it is done. The arithmetic is
  // single-threaded and at most `streams` lanes compute at once, so that lanes in any number keep no more
  // than `streams` cores busy; any thread may call. Throws Error{kInternal} where OpenVINO fails.
  void infer();

  // The vector of photo `slot` after infer(): d floats, valid until the next infer().
  std::span<const float> features(int slot) const;

 private:
  friend class Network;
  struct Impl;
  explicit InferLane(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A pretrained network made into a featurizer: head cut off, normalization folded in, u8 NHWC RGB input,
// static batch, computed in integers where it is made for that, else compiled by OpenVINO for this CPU.
// Copies share what is computed with. Thread-safe.
class Network {
 public:
  // Reads, cuts, compiles. Throws Error{kNotFound | kFormat | kUsage | kUnavailable}.
  static Network load(const NetworkOptions& options);

  // The network embedded in an ONNX file that was parsed before; `options.model` is only its name in
  // messages. With the file's SHA-256 the compiled network is kept under cache_home() and next time neither
  // read nor compiled. Throws Error{kUsage} where `options` asks for another layer, pool, size or
  // preprocessing.
  static Network load_embedded(const onnx::ModelProto& parsed, const NetworkOptions& options,
                               const std::string& file_sha256 = {});

  int dimension() const;  // d
  int batch() const;
  int streams() const;
  const PreprocessSpec& preprocess() const;
  const Fingerprint& fingerprint() const;
  const std::string& name() const;            // registry name or file name
  const std::filesystem::path& file() const;  // the network's file
  MapLayout map() const;                      // of the tensor it was cut at

  InferLane make_lane() const;

 private:
  struct Impl;
  explicit Network(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace pomona
