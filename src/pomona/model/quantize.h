// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>

#include "pomona/base/progress.h"
#include "pomona/model/onnx_graph.h"
#include "pomona/model/preprocess.h"

namespace pomona {

struct QuantizedNetwork {
  OnnxModel model;
  int quantized = 0;     // convolutions now in 8-bit integers
  int convolutions = 0;  // in all
};

// A network whose dense convolutions compute in 8-bit integers: QuantizeLinear/DequantizeLinear pairs (opset
// 13) around them, which OpenVINO and ONNX Runtime both turn into integer arithmetic. Weights: symmetric, a
// scale for each output channel. Activations: asymmetric, one scale for each tensor, the range that
// minimizes the squared error on the photos. Left in floating point: the first convolution (it has three
// channels), depthwise and grouped ones (memory-bound), everything else. What rounding shifts on average is
// taken off each convolution's bias, one after the other, those before it quantized already: Nagel et al.
// 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with means
// measured on the photos.
//
// `pixels`: n x spec.height x spec.width x 3 RGB bytes, as PhotoLane makes them; 64 photos of the kind the
// network will see are enough. Throws Error{kUnavailable} where the graph is older than opset 13 or has
// nothing to quantize, Error{kFormat} where OpenVINO cannot run it.
QuantizedNetwork quantize_network(const onnx::ModelProto& network, const PreprocessSpec& spec,
                                  std::span<const std::uint8_t> pixels, const Hooks& hooks,
                                  std::stop_token stop = {});

}  // namespace pomona
