// SPDX-License-Identifier: Apache-2.0
// Quantized networks that are computed in integers: reading, packing, and a photo through what was made, with
// each of this CPU's instruction sets. Input: the ONNX file.
#include <cstring>
#include <vector>

#include <onnx/onnx_pb.h>

#include "fuzz.h"
#include "pomona/int8/integer_network.h"
#include "pomona/model/onnx_graph.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Input input(data, size);
  fuzz::accepts([&] {
    const OnnxModel model = parse_onnx(input.text());
    const Pixels photo{24, 20, false, {127.5F, 127.5F, 127.5F}, {127.5F, 127.5F, 127.5F}};
    for (const auto& output : model->graph().output()) {
      std::vector<float> first;
      for (const auto with :
           {IntegerNetwork::Instructions::kAvx2, IntegerNetwork::Instructions::kAvx512Vnni}) {
        const auto network = IntegerNetwork::make(*model, output.name(), true, photo, with);
        if (!network) continue;
        const std::vector<std::uint8_t> pixels(2 * 3 * 24 * 20, 77);
        std::vector<float> features(2 * static_cast<std::size_t>(network->dimension()));
        auto scratch = network->make_scratch(2);
        network->infer(pixels, 2, scratch, features);
        const std::size_t bytes = features.size() / 2 * sizeof(float);
        fuzz::require(std::memcmp(features.data(), features.data() + features.size() / 2, bytes) == 0,
                      "the same photo twice gave two vectors");
        if (first.empty()) first = features;
        fuzz::require(std::memcmp(features.data(), first.data(), bytes) == 0,
                      "two instruction sets gave two vectors");
      }
    }
  });
  return 0;
}
