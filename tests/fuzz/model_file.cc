// SPDX-License-Identifier: Apache-2.0
// Model files: read, described, asked, written again. Input: the file.
#include <vector>

#include "fuzz.h"
#include "pomona/modelfile/model_file.h"
#include "pomona/modelfile/predictor.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Input input(data, size);
  fuzz::accepts([&] {
    const ModelFile model = parse_model_file(input.text(), "fuzz");
    for (const std::string& line : describe_model_file(model)) {
      fuzz::require(line.find('\n') == std::string::npos, "a line of the description is several");
    }
    const Predictor predictor(model);
    const auto d = static_cast<std::size_t>(predictor.dimension());
    if (d <= 1 << 16) {
      const std::vector<float> x(2 * d, 0.125F);
      const auto answers = predictor.predict(x, 2);
      for (std::size_t t = 0; t < model.targets.size(); ++t) answers[0].top(t, 3);
    }
    if (predictor.takes_components() && model.pca) {
      const std::vector<float> y(static_cast<std::size_t>(model.pca->k()), 0.5F);
      predictor.predict_components(y, 1);
    }
    parse_model_file(serialize_model_file(model), "again");
  });
  return 0;
}
