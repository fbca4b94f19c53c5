// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace onnx {
class GraphProto;
}

namespace pomona {

// A convolutional network of the MobileNet kind, quantized, as plain numbers: what IntegerNetwork computes.
// From the photo to the vector:
//   stem       a dense convolution on the photo, ReLU6
//   blocks     [1 x 1 convolution, ReLU6], depthwise convolution, ReLU6, [1 x 1 convolution, [+ the block's
//   input]] head       1 x 1 convolution, ReLU6, average over the map
// MobileNet V1 (Howard et al. 2017), V2 (Sandler et al. 2018) and EfficientNet-Lite (Tan 2020) are such
// chains.

// How a photo's RGB bytes x become the network's input: (x - mean) / std.
struct Pixels {
  int width = 0, height = 0;
  bool bgr = false;                                        // the network wants blue first
  std::array<float, 3> mean = {0, 0, 0}, std = {1, 1, 1};  // in the network's colour order
};

// Where a window over a map goes.
struct Window {
  int size = 1;    // height and width
  int stride = 1;  // both ways
  int top = 0;     // rows of zeros above
  int left = 0;    // columns of zeros before
  int in_height = 0, in_width = 0, out_height = 0, out_width = 0;
};

struct Stem {
  Window window;
  int channels = 0;
  std::vector<float>
      weights;              // channels x 3 x size x size, of normalized pixels in the network's colour order
  std::vector<float> bias;  // channels
};

// Of bytes u: scale * sum((u - zero) * weight) + bias.
struct Pointwise {
  int in = 0, out = 0;
  int zero = 0;
  std::vector<std::int8_t> weights;  // out x in
  std::vector<float> scale;          // out
  std::vector<float> bias;           // out
};

struct Depthwise {
  Window window;
  int channels = 0;
  std::vector<float> weights;  // channels x size x size
  std::vector<float> bias;     // channels
  float step = 1;              // its output is bytes: value / step
};

struct ChainBlock {
  std::optional<Pointwise> expand;  // none in the first block: the stem is before it
  Depthwise depthwise;
  std::optional<Pointwise> project;
  bool adds_input = false;  // to what `project` gives
  float step = 1;           // of the bytes behind `project`, whose zero is `zero`
  int zero = 0;
};

struct MobileChain {
  Stem stem;
  std::vector<ChainBlock> blocks;
  Pointwise head;
  int map_height = 0, map_width = 0;  // that the head averages over
  bool flat = false;                  // the tensor it was read up to has no height and width
};

// Reads the graph's part from its one input of `width` x `height` pixels to `tensor`: the vector, or with
// `average_of_map` the map it is the average of. Anything that is not such a chain, with quantized 1 x 1
// convolutions as quantize_network() makes them, is refused with a sentence that says why. Input from
// outside: nothing of it is believed. Thread-safe.
std::expected<MobileChain, std::string> read_mobile_chain(const onnx::GraphProto& graph,
                                                          const std::string& tensor, bool average_of_map,
                                                          int width, int height);

}  // namespace pomona
