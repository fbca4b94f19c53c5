// SPDX-License-Identifier: Apache-2.0
// For tests: raw pixels -> features -> trained heads -> a model file; then what the file, read again, says
// about the same pixels, as JSON, so that another engine that runs the file can be compared.
#include <cstdio>
#include <cstring>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/learn/calibrate.h"
#include "pomona/learn/moments.h"
#include "pomona/modelfile/predictor.h"

namespace {

using nlohmann::json;

std::vector<float> features_of(const pomona::Network& network, const std::string& pixels) {
  pomona::InferLane lane = network.make_lane();
  const std::size_t photo = lane.pixels(0).size();
  const std::size_t rows = pixels.size() / photo;
  std::vector<float> features;
  for (std::size_t first = 0; first < rows;) {
    int filled = 0;
    for (; filled < network.batch() && first < rows; ++filled, ++first) {
      std::memcpy(lane.pixels(filled).data(), pixels.data() + first * photo, photo);
    }
    lane.infer();
    for (int slot = 0; slot < filled; ++slot) {
      const auto vector = lane.features(slot);
      features.insert(features.end(), vector.begin(), vector.end());
    }
  }
  return features;
}

pomona::Classifier train(const std::string& kind, const pomona::TrainingSet& set) {
  if (kind == "forest") {
    pomona::TrainOptions options;
    options.trees = 20;
    return pomona::train_forest(set, options);
  }
  return kind == "lda" ? pomona::train_lda(set) : pomona::train_logistic(set);
}

struct Flags {
  pomona::NetworkOptions network;
  std::string pool = "auto";
  std::string pixels, out;
  std::vector<std::string> heads;  // kind:features|components, one per target
  int classes = 3;
  int components = 0;
  bool unknown = false;
  int size = 0;
};

void make(const Flags& flags) {
  pomona::NetworkOptions options = flags.network;
  options.pool = pomona::parse_pool(flags.pool);
  if (flags.size > 0) options.input_size = flags.size;
  const pomona::Network network = pomona::Network::load(options);
  const std::string pixels = pomona::read_file(flags.pixels);
  const std::vector<float> x = features_of(network, pixels);
  const int d = network.dimension();
  const std::size_t rows = x.size() / static_cast<std::size_t>(d);

  pomona::ModelFile model;
  model.name = "made for a test";
  model.backbone = pomona::Backbone::of(network);
  std::vector<float> y;
  if (flags.components > 0) {
    pomona::PcaOptions pca;
    pca.k = flags.components;
    model.pca = pomona::Pca::fit_wide(x, rows, d, pca);
    y.resize(rows * static_cast<std::size_t>(flags.components));
    model.pca->transform(x, rows, y);
  }
  // Target t calls photo i class (i / (t + 1)) mod (classes + t): the photos' order is the test's.
  for (std::size_t t = 0; t < flags.heads.size(); ++t) {
    const std::string& spec = flags.heads[t];
    pomona::Target target;
    target.name = t == 0 ? "variety" : "target " + std::to_string(t);
    const std::string kind = spec.substr(0, spec.find(':'));
    const bool components = spec.ends_with(":components");
    target.on = components ? pomona::HeadInput::kComponents : pomona::HeadInput::kFeatures;
    const int classes = flags.classes + static_cast<int>(t);
    std::vector<std::int32_t> truth(rows);
    for (std::size_t i = 0; i < rows; ++i) {
      truth[i] = static_cast<std::int32_t>(i / (t + 1)) % classes;
    }
    pomona::TrainingSet set;
    set.x = components ? std::span<const float>(y) : std::span<const float>(x);
    set.n = rows;
    set.d = components ? flags.components : d;
    set.y = truth;
    for (int c = 0; c < classes; ++c) set.labels.push_back("class " + std::to_string(c));
    target.classifier = train(kind, set);
    target.confident_threshold = 0.8;
    target.target_precision = 0.99;
    target.counts.assign(static_cast<std::size_t>(classes), rows / static_cast<std::size_t>(classes));
    if (t == 0 && flags.unknown) {
      pomona::UnknownDetector detector;
      detector.on = pomona::HeadInput::kFeatures;
      detector.normalize = true;
      detector.d = detector.q = d;
      pomona::ClassDirections directions(d, classes);
      directions.add(x, truth);
      detector.centres = directions.directions();
      detector.threshold = pomona::quantile(pomona::nearest_distances(x, rows, d, detector.centres), 0.9);
      detector.accepted = 0.9;
      model.unknown = detector;
    }
    model.targets.push_back(std::move(target));
  }
  model.training = {{"photos", rows}};
  pomona::write_model_file(model, flags.out);
}

void answer(const Flags& flags) {
  const pomona::Predictor predictor = pomona::Predictor::load(flags.out);
  pomona::NetworkOptions options = flags.network;
  options.model = flags.out;
  const pomona::Network network = pomona::load_network(predictor.model(), options);
  const std::vector<float> x = features_of(network, pomona::read_file(flags.pixels));
  const std::size_t rows = x.size() / static_cast<std::size_t>(network.dimension());
  json out = {{"d", network.dimension()},
              {"features", x},
              {"fingerprint", pomona::to_json(network.fingerprint())},
              {"rows", json::array()}};
  for (const pomona::Prediction& prediction : predictor.predict(x, rows)) {
    json row = {{"probabilities", prediction.probabilities}, {"unknown", prediction.unknown}};
    row["labels"] = json::array();
    for (const auto& target : prediction.targets) row["labels"].push_back(target.best);
    if (prediction.distance) row["distance"] = *prediction.distance;
    out["rows"].push_back(std::move(row));
  }
  std::puts(out.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes and asks model files, for tests");
  Flags flags;
  std::string precision = "f32", mode, preprocess;
  app.add_option("MODE", mode)->required()->check(CLI::IsMember({"make", "answer", "plain"}));
  app.add_option("--model", flags.network.model);
  app.add_option("--preprocess", preprocess);
  app.add_option("--layer", flags.network.layer);
  app.add_option("--pool", flags.pool);
  app.add_option("--input-size", flags.size);
  app.add_option("--precision", precision);
  app.add_option("--batch", flags.network.batch);
  app.add_option("--pixels", flags.pixels)->required();
  app.add_option("--out", flags.out);
  app.add_option("--head", flags.heads);
  app.add_option("--classes", flags.classes);
  app.add_option("--components", flags.components);
  app.add_flag("--unknown", flags.unknown);
  CLI11_PARSE(app, argc, argv);
  try {
    flags.network.precision = pomona::parse_precision(precision);
    flags.network.streams = 1;
    flags.network.compile_cache = false;
    if (!preprocess.empty()) flags.network.preprocess = preprocess;
    if (mode == "make") {
      make(flags);
    } else if (mode == "answer") {
      answer(flags);
    } else {
      // The network on its own, to compare the features of the model file with.
      pomona::NetworkOptions options = flags.network;
      options.pool = pomona::parse_pool(flags.pool);
      if (flags.size > 0) options.input_size = flags.size;
      const pomona::Network network = pomona::Network::load(options);
      const json out = {{"features", features_of(network, pomona::read_file(flags.pixels))},
                        {"fingerprint", pomona::to_json(network.fingerprint())}};
      std::puts(out.dump().c_str());
    }
  } catch (const pomona::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
