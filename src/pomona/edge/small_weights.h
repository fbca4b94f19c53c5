// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace onnx {
class ModelProto;
}

namespace pomona {

// How the weights of a network travel. All are turned back into float32 when the network is loaded, so that
// the arithmetic stays the same: what is lost is lost in the weights alone.
enum class WeightStorage : std::uint8_t {
  kFloat32,  // as they are
  kFloat16,  // half the bytes; the network's own keep 8 or 9 of 10 bits of mantissa, so that gzip finds more
  kInt8,     // a quarter: one scale per output channel (symmetric)
};

std::string_view to_string(WeightStorage storage);
WeightStorage parse_weight_storage(std::string_view name);  // Throws Error{kUsage} that lists the names.

// Stores float32 initializers as `storage` says and adds the nodes that turn them back (Cast; for int8 also
// Mul). Left in float32: small ones, those that float16 cannot hold, and, for int8, everything that is not a
// matrix or a convolution kernel of the network itself (heads and PCA then travel as float16). Tensors must
// be inline.
void store_weights(onnx::ModelProto& model, WeightStorage storage);

}  // namespace pomona
