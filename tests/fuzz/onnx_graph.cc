// SPDX-License-Identifier: Apache-2.0
// ONNX files: parse, check, prune, write again; the metadata of model files. Input: the file.
#include <onnx/onnx_pb.h>

#include "fuzz.h"
#include "pomona/model/embedded.h"
#include "pomona/model/onnx_graph.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Input input(data, size);
  fuzz::accepts([&] {
    const OnnxModel model = parse_onnx(input.text());
    has_ml_nodes(*model);
    if (is_embedded(*model)) fuzz::accepts([&] { embedded_network(*model); });
    const std::string bytes = serialize_onnx(*model);
    fuzz::require(serialize_onnx(*parse_onnx(bytes)) == bytes, "what was written reads as something else");
    fuzz::accepts([&] { inline_external_data(*model, fuzz::scratch()); });
    const auto outputs = outputs_without_ml(*model);
    if (outputs.empty()) return;
    prune_onnx(*model, outputs);
    check_onnx(*model, {});
  });
  // With a folder beside it, tensors may point to files.
  fuzz::accepts([&] {
    const OnnxModel model = parse_onnx(input.text(), fuzz::scratch());
    external_files(*model, fuzz::scratch());
    inline_external_data(*model, fuzz::scratch());
  });
  return 0;
}
