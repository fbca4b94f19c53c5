// SPDX-License-Identifier: Apache-2.0
#include "tiny_model.h"

#include <onnx/onnx_pb.h>

#include "fuzz.h"
#include "pomona/model/network.h"
#include "pomona/model/tiny_network.h"

namespace pomona::fuzz {
namespace {

std::vector<float> numbers(std::size_t count, float step) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = step * static_cast<float>(static_cast<int>(i % 7) - 3);
  return values;
}

Classifier linear(int d) {
  Classifier classifier;
  classifier.kind = "logistic";
  classifier.d = d;
  classifier.labels = {"apple", "kiwi", "lemon"};
  classifier.head = LinearHead{numbers(static_cast<std::size_t>(3 * d), 0.25F), {0.1F, 0, -0.1F}};
  return classifier;
}

// Two trees: one with a question, one that is a leaf.
Classifier forest(int d) {
  Classifier classifier;
  classifier.kind = "forest";
  classifier.d = d;
  classifier.labels = {"ripe", "unripe"};
  ForestHead head;
  head.roots = {0, 3};
  head.feature = {1, -1, -1, -1};
  head.threshold = {0.5F, 0, 0, 0};
  head.left = {1, 0, 1, 2};
  head.right = {2, 0, 0, 0};
  head.leaves = {1, 0, 0, 1, 0.5F, 0.5F};
  classifier.head = std::move(head);
  return classifier;
}

}  // namespace

ModelFile tiny_model() {
  NetworkOptions options;
  options.model = write_scratch("network/tiny.onnx", testing::tiny_network().SerializeAsString()).string();
  options.preprocess = "tf";
  options.input_size = 16;
  options.batch = 1;
  options.precision = Precision::kF32;
  options.compile_cache = false;
  const Network network = Network::load(options);
  const int d = network.dimension();
  constexpr int kComponents = 3;

  ModelFile model;
  model.name = "tiny";
  model.backbone = Backbone::of(network);
  std::vector<float> components(static_cast<std::size_t>(kComponents * d), 0.0F);
  for (int i = 0; i < kComponents; ++i) components[static_cast<std::size_t>(i * d + i)] = 1;
  model.pca = Pca::from_parts(100, true, std::vector<float>(static_cast<std::size_t>(d), 0.0F),
                              std::move(components), {3, 2, 1});
  Target label;
  label.on = HeadInput::kComponents;
  label.classifier = linear(kComponents);
  label.counts = {40, 30, 30};
  Target ripeness;
  ripeness.name = "ripeness";
  ripeness.on = HeadInput::kFeatures;
  ripeness.classifier = forest(d);
  model.targets = {label, ripeness};
  UnknownDetector unknown;
  unknown.on = HeadInput::kComponents;
  unknown.normalize = true;
  unknown.d = unknown.q = kComponents;
  unknown.centres = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  unknown.threshold = 0.5;
  model.unknown = std::move(unknown);
  model.training = {{"photos", 100}};
  model.card = {{"about", "a model for tests"}};
  return model;
}

}  // namespace pomona::fuzz
