// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/learn/classifier.h"
#include "pomona/learn/pca.h"
#include "pomona/model/network.h"

namespace onnx {
class ModelProto;
}

namespace pomona {

// The network a model file embeds, cut at its layer. Made from a loaded Network or read from a model file.
struct Backbone {
  std::string name;  // for people: "efficientnet-lite0"
  PreprocessSpec preprocess;
  Fingerprint fingerprint;  // of the features the heads were trained on; precision = that of training
  int dimension = 0;        // d
  std::string cut;          // tensor of `graph` to cut at
  MapLayout map = MapLayout::kFlat;               // of that tensor
  std::shared_ptr<const onnx::ModelProto> graph;  // tensors inline; at least up to the layer

  // Reads the file of a network that was loaded with Network::load (an ONNX file, or a model file of ours).
  // Throws Error{kUnavailable} for IR, TFLite and SavedModel: they cannot be put into an ONNX file.
  static Backbone of(const Network& network);
};

enum class HeadInput : std::uint8_t { kFeatures, kComponents };

// One thing to be told about a photo: variety, ripeness, ... The classes are `classifier.labels`.
struct Target {
  std::string name = "label";
  HeadInput on = HeadInput::kFeatures;  // what the classifier takes
  Classifier classifier;

  // `confident` where the best probability is at least this. Above 1 = never.
  double confident_threshold = 0.5;
  double target_precision = 0;        // asked for when it was calibrated; 0 = not calibrated
  std::vector<std::uint64_t> counts;  // training photos per class; may be empty
};

// Tells photos unlike anything in training: z = W (x - mean), with x scaled to length 1 first where
// `normalize` is set; distance = least Euclidean distance of z to a centre; above `threshold` = unknown.
// W = inverse Cholesky factor of the within-class covariance and class means as centres give the Mahalanobis
// distance of Lee et al. 2018; an empty W stands for the identity; normalize with unit centres gives cosine.
struct UnknownDetector {
  HeadInput on = HeadInput::kComponents;
  bool normalize = false;
  int d = 0;                     // of x
  int q = 0;                     // of z; d where `whitening` is empty
  std::vector<float> mean;       // d, or empty: zeros
  std::vector<float> whitening;  // q x d, row-major, or empty
  std::vector<float> centres;    // m x q
  double threshold = 0;          // distance
  double accepted = 0;           // share of validation photos within the threshold, for the card
};

// Everything that tells a photo's class, in one value. `write_model_file` makes one ONNX file of it.
struct ModelFile {
  std::string name;            // of the model, for people; may be empty
  std::filesystem::path file;  // where it was read from; empty otherwise
  std::string sha256;          // of the file it was read from; empty otherwise
  Backbone backbone;
  std::optional<Pca> pca;  // must be there where a head or detector works on components
  std::vector<Target> targets;
  std::optional<UnknownDetector> unknown;
  nlohmann::json training = nlohmann::json::object();  // record: data, counts, options, figures, versions
  nlohmann::json card = nlohmann::json::object();      // what `models info` shows besides; free-form texts
};

inline constexpr int kModelFileVersion = 1;

// Throws Error{kUsage} where the parts do not fit together: dimensions, numbers of labels, indices of trees,
// values that are no numbers, no target, two targets of one name.
void check_model_file(const ModelFile& model);

// One ONNX file. Input: float32 (N, 3, H, W), the preprocessed pixels, under the backbone's own input name.
// Outputs: `features` (N, d); `reduced` (N, k) where there is a PCA; `probabilities` (N, classes) and `label`
// (N, int64 index) of the first target, `probabilities_<name>` and `label_<name>` of further ones; `distance`
// (N) where there is an unknown detector. metadata_props: keys `pomona.*`, JSON.
// Throws Error: kUsage as check_model_file() does, kUnavailable (opset older than 7, several inputs).
std::string serialize_model_file(const ModelFile& model);

// The same into a local file, whole or not at all. Throws Error{kIo | kPermission} too.
void write_model_file(const ModelFile& model, const std::filesystem::path& file);

// Reads a model file. It is input from outside: sizes, shapes, indices and numbers are checked before use and
// nothing of it is executed. Tensor data outside the file is refused. Throws Error{kNotFound | kPermission |
// kIo | kFormat}: not ONNX, not a model of ours, damaged, newer than this program.
ModelFile read_model_file(const std::filesystem::path& file);

// The same from bytes; `name` stands in messages.
ModelFile parse_model_file(std::string_view bytes, const std::string& name);

// True where the local file is ONNX and says it is a model of ours; false for anything else.
bool is_model_file(const std::filesystem::path& file);

// The embedded network, ready to run: the same vectors as the network it was made from with the same options.
// Lanes work without the file. Of `options` only precision (kAuto = as on this machine), batch, streams and
// compile_cache count.
Network load_network(const ModelFile& model, const NetworkOptions& options);

// What `pomona models info` prints, one line per entry, 80 columns.
std::vector<std::string> describe_model_file(const ModelFile& model);

}  // namespace pomona
