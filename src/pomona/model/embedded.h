// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "pomona/model/fingerprint.h"
#include "pomona/model/preprocess.h"

namespace onnx {
class ModelProto;
}

namespace pomona {

// A featurizer that stands inside a larger ONNX file (a model file), as the file's metadata_props describe
// it: `pomona.backbone` {name, cut, ...}, `pomona.preprocess`, `pomona.fingerprint`.
struct EmbeddedNetwork {
  std::string name;  // as it was called when it stood alone
  std::string cut;   // tensor of the graph to cut at
  PreprocessSpec preprocess;
  Fingerprint fingerprint;  // precision: what the heads were trained on
};

inline constexpr const char* kFormatKey = "pomona.format";
inline constexpr const char* kBackboneKey = "pomona.backbone";
inline constexpr const char* kPreprocessKey = "pomona.preprocess";
inline constexpr const char* kFingerprintKey = "pomona.fingerprint";

// True where the file says that it embeds a featurizer.
bool is_embedded(const onnx::ModelProto& model);

// Throws Error{kFormat} where the metadata is not what it should be, or does not fit itself.
EmbeddedNetwork embedded_network(const onnx::ModelProto& model);

}  // namespace pomona
