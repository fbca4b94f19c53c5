// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/network.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <semaphore>
#include <utility>

#include <openvino/core/model.hpp>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/infer_request.hpp>
#include <openvino/runtime/properties.hpp>
#include <openvino/runtime/tensor.hpp>

#include "pomona/base/aligned.h"
#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/int8/integer_network.h"
#include "pomona/model/compiled_cache.h"
#include "pomona/model/embedded.h"
#include "pomona/model/graph_cut.h"
#include "pomona/model/network_file.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/model/registry.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr int kLargestBatch = 1024;

// What --model means: a card of the registry, or a file with the preprocessing given beside it.
struct Source {
  std::string name;
  fs::path file;
  PreprocessSpec spec;
  std::string layer;
};

bool looks_like_path(const std::string& model) {
  if (model.find('/') != std::string::npos) return true;
  const std::string extension = lower_extension(model);
  return extension == ".onnx" || extension == ".xml" || extension == ".tflite";
}

Source resolve(const NetworkOptions& options) {
  Source source;
  source.layer = options.layer;
  if (looks_like_path(options.model) || fs::exists(fs::path(options.model) / "saved_model.pb")) {
    source.file = options.model;
    network_format(source.file);
    source.name = fs::weakly_canonical(source.file).filename().string();
    if (!options.preprocess) {
      throw Error(ErrorCode::kUsage,
                  "how " + options.model +
                      " wants its pixels is not known: give --preprocess tf, caffe, torch, lite "
                      "or a JSON file");
    }
    source.spec = preprocess_spec(*options.preprocess);
  } else {
    const ModelCard card = find_model(options.model);
    if (!card.installed) {
      throw Error(ErrorCode::kNotFound,
                  "the network " + card.name + " is not on this machine: " +
                      (card.url.empty() ? "`make build` puts it at " + card.file.string()
                                        : "`pomona models pull " + card.name + "` fetches it"));
    }
    source.name = card.name;
    source.file = card.file;
    source.spec = options.preprocess ? preprocess_spec(*options.preprocess) : card.preprocess;
    if (!source.spec.sized) {
      source.spec.width = card.preprocess.width;
      source.spec.height = card.preprocess.height;
      source.spec.sized = true;
    }
    if (options.layer == "penultimate") source.layer = card.layer;
  }
  if (options.kernel) source.spec.kernel = *options.kernel;
  if (options.fit) source.spec.fit = *options.fit;
  source.spec.exif_orientation = options.exif_orientation;
  source.spec.jpeg_scale = options.jpeg_scale;
  return source;
}

void check(const NetworkOptions& options) {
  if (options.batch < 0 || options.batch > kLargestBatch) {
    throw Error(ErrorCode::kUsage, "a batch of " + std::to_string(options.batch) + " photos: give 1 to " +
                                       std::to_string(kLargestBatch));
  }
  if (options.streams < 0) throw Error(ErrorCode::kUsage, "the number of streams must not be negative");
  if (options.input_size && (*options.input_size < 1 || *options.input_size > 8192)) {
    throw Error(ErrorCode::kUsage,
                "an input size of " + std::to_string(*options.input_size) + " pixels: give 1 to 8192");
  }
}

// Of what OpenVINO computes.
Precision resolve_precision(Precision asked) {
  const bool bf16 = cpu_features().bf16();
  if (asked == Precision::kBf16 && !bf16) {
    throw Error(ErrorCode::kUnavailable, "this CPU (" + cpu_features().name +
                                             ") has no bf16 arithmetic: give --precision auto or f32");
  }
  if (asked == Precision::kAuto) return bf16 ? Precision::kBf16 : Precision::kF32;
  return asked;
}

// The network in integers where it is made for that, this CPU can and nothing else was asked for. Throws
// Error{kUnavailable} where just that was asked for.
std::optional<IntegerNetwork> integers_of(const onnx::ModelProto& network, const std::string& tensor,
                                          Pool pool, const PreprocessSpec& spec, Precision asked) {
  if (asked != Precision::kAuto && asked != Precision::kInt8) return std::nullopt;
  auto made = IntegerNetwork::make(network, tensor, pool == Pool::kAvg,
                                   {spec.width, spec.height, spec.bgr, spec.mean, spec.std});
  if (made) return *std::move(made);
  if (asked == Precision::kAuto) return std::nullopt;
  throw Error(ErrorCode::kUnavailable,
              "it cannot be computed in integers: " + made.error() +
                  ". Give --precision auto, or a network that `pomona models quantize` made "
                  "of MobileNet V1, V2 or EfficientNet-Lite");
}

nlohmann::json identity(const std::string& sha256, const CutNetwork& cut, const PreprocessSpec& spec) {
  const nlohmann::json pixels = to_json(spec);
  nlohmann::json fields = {{"network_sha256", sha256},
                           {"layer", cut.layer},
                           {"pool", to_string(cut.pool)},
                           {"input_width", spec.width},
                           {"input_height", spec.height}};
  for (const char* field : {"kernel", "fit", "exif_orientation", "jpeg_scale", "mean", "std", "colour"}) {
    fields[field] = pixels.at(field);
  }
  return fields;
}

ov::AnyMap compile_config(Precision precision, int streams) {
  return {ov::hint::inference_precision(precision == Precision::kBf16 ? ov::element::bf16 : ov::element::f32),
          ov::num_streams(streams), ov::inference_num_threads(streams), ov::hint::enable_cpu_pinning(false)};
}

ov::CompiledModel compile(ov::Core& core, const std::shared_ptr<ov::Model>& model, Precision precision,
                          int streams, bool use_cache) {
  const ov::AnyMap config = compile_config(precision, streams);
  if (use_cache) {
    std::error_code error;
    const fs::path folder = cache_home() / "compiled";
    fs::create_directories(folder, error);
    if (!error) {
      ov::AnyMap cached = config;
      cached.insert(ov::cache_dir(folder.string()));
      try {
        return core.compile_model(model, "CPU", cached);
      } catch (const std::exception&) {
        // A full disk or a damaged entry must not stop the job: what the cache holds can be made again.
      }
    }
  }
  return core.compile_model(model, "CPU", config);
}

}  // namespace

Precision parse_precision(std::string_view name) {
  if (name == "auto") return Precision::kAuto;
  if (name == "f32") return Precision::kF32;
  if (name == "bf16") return Precision::kBf16;
  if (name == "int8") return Precision::kInt8;
  throw Error(ErrorCode::kUsage,
              "unknown precision `" + std::string(name) + "`: give auto, f32, bf16 or int8");
}

Pool parse_pool(std::string_view name) {
  if (name == "auto") return Pool::kAuto;
  if (name == "avg") return Pool::kAvg;
  if (name == "max") return Pool::kMax;
  if (name == "none") return Pool::kNone;
  throw Error(ErrorCode::kUsage, "unknown pooling `" + std::string(name) + "`: give auto, avg, max or none");
}

std::string_view to_string(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
      return "auto";
    case Precision::kF32:
      return "f32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
  }
  return "unknown";
}

Precision precision_like(std::string_view trained) {
  if (trained == "int8" && IntegerNetwork::runs_here()) return Precision::kInt8;
  return trained == "bf16" && cpu_features().bf16() ? Precision::kBf16 : Precision::kF32;
}

std::string_view to_string(Pool pool) {
  switch (pool) {
    case Pool::kAuto:
      return "auto";
    case Pool::kAvg:
      return "avg";
    case Pool::kMax:
      return "max";
    case Pool::kNone:
      return "none";
  }
  return "unknown";
}

struct Network::Impl {
  std::string name;
  fs::path file;
  PreprocessSpec spec;
  Fingerprint fingerprint;
  int dimension = 0;
  int batch = 0;
  int streams = 0;
  MapLayout map = MapLayout::kFlat;
  std::optional<IntegerNetwork> integers;  // computes it, or OpenVINO does
  ov::Core core;
  ov::CompiledModel compiled;
  // Lanes of `integers` that may compute at once; OpenVINO counts its own.
  mutable std::optional<std::counting_semaphore<>> turns;

  // Takes over what the cut gave and compiles.
  void finish(const CutNetwork& cut, PreprocessSpec resolved, Precision precision,
              const NetworkOptions& options, std::optional<IntegerNetwork> made);
  void compute_in_integers(IntegerNetwork made);
};

struct InferLane::Impl {
  std::shared_ptr<const void> network;  // what is computed with outlives the lane
  std::string name;
  std::size_t photo_bytes = 0;
  std::size_t dimension = 0;
  std::size_t batch = 0;
  Aligned<std::uint8_t> pixels;
  Aligned<float> features;
  ov::InferRequest request;
  // Instead of the request.
  const IntegerNetwork* integers = nullptr;
  std::counting_semaphore<>* turns = nullptr;
  std::optional<IntegerNetwork::Scratch> scratch;
};

namespace {

PreprocessSpec resolved_spec(const CutNetwork& cut, PreprocessSpec spec) {
  spec.width = cut.width;
  spec.height = cut.height;
  spec.sized = true;
  if (cut.raw_pixels) {
    spec.mode = "custom";
    spec.mean = {0, 0, 0};
    spec.std = {1, 1, 1};
  }
  return spec;
}

void check_identity(const nlohmann::json& stated, const CutNetwork& cut, const PreprocessSpec& spec) {
  if (identity(stated.value("network_sha256", ""), cut, spec) != stated) {
    throw Error(ErrorCode::kFormat, "its fingerprint does not fit its network: the file was changed");
  }
}

// Turns what went wrong on the way to a compiled network into an Error that names its file.
template <typename Body>
void naming(const std::string& file, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find(file) != std::string::npos) throw;
    throw Error(error.code(), file + ": " + message);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kFormat, file + ": the network needs more memory than there is");
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kFormat, file + ": OpenVINO cannot run this network: " + openvino_reason(error));
  }
}

}  // namespace

void Network::Impl::finish(const CutNetwork& cut, PreprocessSpec resolved, Precision precision,
                           const NetworkOptions& options, std::optional<IntegerNetwork> made) {
  spec = std::move(resolved);
  map = cut.map;
  dimension = cut.dimension;
  batch = cut.batch;
  streams = options.streams > 0 ? options.streams : cpu_budget();
  if (made) {
    compute_in_integers(*std::move(made));
  } else {
    compiled = compile(core, cut.model, precision, streams, options.compile_cache);
  }
}

void Network::Impl::compute_in_integers(IntegerNetwork made) {
  integers = std::move(made);
  turns.emplace(streams);
}

Network::Network(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Network Network::load_embedded(const onnx::ModelProto& parsed, const NetworkOptions& options,
                               const std::string& file_sha256) {
  check(options);
  auto impl = std::make_shared<Impl>();
  naming(options.model, [&] {
    const EmbeddedNetwork embedded = embedded_network(parsed);
    if (options.preprocess || options.layer != "penultimate" || options.pool != Pool::kAuto ||
        options.input_size || options.kernel || options.fit) {
      throw Error(
          ErrorCode::kUsage,
          "a model file brings its own preprocessing, layer, pool, input size, resize kernel and fit: "
          "leave them out, or name the network itself");
    }
    impl->name = embedded.name;
    impl->file = options.model;
    impl->batch =
        options.batch > 0 ? options.batch : batch_for(embedded.preprocess.width, embedded.preprocess.height);
    impl->streams = options.streams > 0 ? options.streams : cpu_budget();
    const nlohmann::json& stated = embedded.fingerprint.identity;
    const Pool pool = parse_pool(stated.at("pool").get<std::string>());
    if (auto integers = integers_of(parsed, embedded.cut, pool, embedded.preprocess, options.precision)) {
      impl->spec = embedded.preprocess;
      impl->map = integers->flat() ? MapLayout::kFlat : MapLayout::kChannelsFirst;
      impl->dimension = integers->dimension();
      impl->fingerprint = {stated, std::string(to_string(Precision::kInt8))};
      impl->compute_in_integers(*std::move(integers));
      CutNetwork cut;
      cut.layer = stated.value("layer", "");
      cut.pool = pool;
      check_identity(stated, cut, impl->spec);
      return;
    }
    const Precision precision = resolve_precision(options.precision);
    impl->fingerprint = {stated, std::string(to_string(precision))};
    const bool keep = options.compile_cache && !file_sha256.empty();
    std::string key;
    if (keep) {
      key = compiled_key({{"file", file_sha256},
                          {"identity", embedded.fingerprint.identity_hash()},
                          {"batch", impl->batch},
                          {"streams", impl->streams},
                          {"precision", to_string(precision)}});
      if (auto cached = load_compiled(impl->core, key, compile_config(precision, impl->streams))) {
        impl->batch = static_cast<int>(cached->compiled.output().get_shape().at(0));
        impl->spec = preprocess_from_json(cached->note.at("preprocess"));
        impl->map = static_cast<MapLayout>(cached->note.at("map").get<int>());
        impl->dimension = static_cast<int>(cached->compiled.output().get_shape().at(1));
        impl->compiled = std::move(cached->compiled);
        return;
      }
    }
    CutOptions cut_options;
    cut_options.layer = embedded.cut;
    cut_options.pool = pool;
    cut_options.batch = options.batch;
    cut_options.width = embedded.preprocess.width;
    cut_options.height = embedded.preprocess.height;
    CutNetwork cut =
        cut_network(read_subgraph(impl->core, parsed, embedded.cut), cut_options, embedded.preprocess);
    const PreprocessSpec spec = resolved_spec(cut, embedded.preprocess);
    cut.layer = stated.value("layer", "");  // the tensor may have got another name in the file
    check_identity(stated, cut, spec);
    // Two caches of the same would only fill the disk.
    NetworkOptions own = options;
    own.compile_cache = options.compile_cache && !keep;
    impl->finish(cut, spec, precision, own, std::nullopt);
    if (keep) {
      save_compiled(key, impl->compiled,
                    {{"preprocess", to_json(spec)}, {"map", static_cast<int>(impl->map)}});
    }
  });
  return Network(std::move(impl));
}

Network Network::load(const NetworkOptions& options) {
  check(options);
  OnnxModel parsed;
  if (looks_like_path(options.model) && lower_extension(options.model) == ".onnx" &&
      fs::is_regular_file(options.model)) {
    parsed = load_onnx(options.model);
    if (is_embedded(*parsed)) return load_embedded(*parsed, options);
  }
  Source source = resolve(options);
  auto impl = std::make_shared<Impl>();
  naming(source.file.string(), [&] {
    const NetworkFormat format = network_format(source.file);
    CutOptions how = cut_options(format, source.spec, source.layer);
    how.pool = options.pool;
    how.batch = options.batch;
    if (options.input_size) how.width = how.height = *options.input_size;
    const CutNetwork cut =
        cut_network(read_network(impl->core, source.file, format, source.layer), how, source.spec);
    PreprocessSpec spec = resolved_spec(cut, source.spec);
    impl->name = source.name;
    impl->file = source.file;
    Precision precision = Precision::kInt8;
    std::optional<IntegerNetwork> integers;
    const bool wanted = options.precision == Precision::kAuto || options.precision == Precision::kInt8;
    if (wanted && format == NetworkFormat::kOnnx) {
      if (!parsed) parsed = load_onnx(source.file);
      integers = integers_of(*parsed, cut.layer, cut.pool, spec, options.precision);
    } else if (options.precision == Precision::kInt8) {
      throw Error(ErrorCode::kUnavailable, "it cannot be computed in integers: only ONNX files can");
    }
    parsed.reset();  // compiling needs the memory
    if (!integers) precision = resolve_precision(options.precision);
    impl->fingerprint = {identity(network_sha256(source.file), cut, spec), std::string(to_string(precision))};
    impl->finish(cut, std::move(spec), precision, options, std::move(integers));
  });
  return Network(std::move(impl));
}

int Network::dimension() const {
  return impl_->dimension;
}
int Network::batch() const {
  return impl_->batch;
}
int Network::streams() const {
  return impl_->streams;
}
const PreprocessSpec& Network::preprocess() const {
  return impl_->spec;
}
const Fingerprint& Network::fingerprint() const {
  return impl_->fingerprint;
}
const std::string& Network::name() const {
  return impl_->name;
}
const fs::path& Network::file() const {
  return impl_->file;
}

MapLayout Network::map() const {
  return impl_->map;
}

InferLane Network::make_lane() const {
  auto lane = std::make_unique<InferLane::Impl>();
  lane->network = impl_;
  lane->name = impl_->name;
  const auto width = static_cast<std::size_t>(impl_->spec.width);
  const auto height = static_cast<std::size_t>(impl_->spec.height);
  lane->photo_bytes = height * width * 3;
  lane->dimension = static_cast<std::size_t>(impl_->dimension);
  lane->batch = static_cast<std::size_t>(impl_->batch);
  try {
    lane->pixels = allocate_aligned<std::uint8_t>(lane->batch * lane->photo_bytes);
    lane->features = allocate_aligned<float>(lane->batch * lane->dimension);
    if (impl_->integers) {
      lane->integers = &*impl_->integers;
      lane->turns = &*impl_->turns;
      lane->scratch = impl_->integers->make_scratch(impl_->batch);
      return InferLane(std::move(lane));
    }
    // Creating a request does not change what the compiled network computes; OpenVINO only forgot the const.
    ov::CompiledModel compiled = impl_->compiled;
    lane->request = compiled.create_infer_request();
    lane->request.set_input_tensor(
        ov::Tensor(ov::element::u8, {lane->batch, height, width, 3}, lane->pixels.get()));
    lane->request.set_output_tensor(
        ov::Tensor(ov::element::f32, {lane->batch, lane->dimension}, lane->features.get()));
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kInternal,
                impl_->name + ": cannot make a lane of inference: " + openvino_reason(error));
  }
  return InferLane(std::move(lane));
}

InferLane::InferLane(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InferLane::~InferLane() = default;
InferLane::InferLane(InferLane&&) noexcept = default;
InferLane& InferLane::operator=(InferLane&&) noexcept = default;

std::span<std::uint8_t> InferLane::pixels(int slot) {
  return {impl_->pixels.get() + static_cast<std::size_t>(slot) * impl_->photo_bytes, impl_->photo_bytes};
}

void InferLane::infer() {
  Impl& own = *impl_;
  if (own.integers != nullptr) {
    own.turns->acquire();
    own.integers->infer({own.pixels.get(), own.batch * own.photo_bytes}, static_cast<int>(own.batch),
                        *own.scratch, {own.features.get(), own.batch * own.dimension});
    own.turns->release();
    return;
  }
  try {
    own.request.infer();
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kInternal, own.name + ": inference failed: " + openvino_reason(error));
  }
}

std::span<const float> InferLane::features(int slot) const {
  return {impl_->features.get() + static_cast<std::size_t>(slot) * impl_->dimension, impl_->dimension};
}

}  // namespace pomona
