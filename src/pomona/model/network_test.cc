// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/network.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/model/graph_cut.h"
#include "pomona/model/tiny_network.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using testing::add_node;
using ::testing::AllOf;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using testing::tiny_network;
using testing::write_onnx;

// Keeps compiled networks of the tests out of the user's cache.
class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::path(::testing::TempDir()) / ("pomona-network-" + std::to_string(::getpid()));
    ::setenv("POMONA_HOME", home_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("POMONA_HOME");
    fs::remove_all(home_);
  }
  fs::path home_;
};

NetworkOptions options_for(const fs::path& file) {
  NetworkOptions options;
  options.model = file.string();
  options.preprocess = "tf";
  options.precision = Precision::kF32;
  options.input_size = 32;
  options.batch = 2;
  options.streams = 1;
  options.compile_cache = false;
  return options;
}

fs::path tiny_file() {
  return write_onnx(tiny_network(), "tiny.onnx");
}

// The real network, where it is there.
fs::path mobilenet() {
  const char* shared = std::getenv("POMONA_SHARED");
  const fs::path data =
      shared != nullptr ? fs::path(shared) : fs::path(POMONA_SOURCE_DIR) / ".." / "shared" / "data";
  return data / "weights" / "mobilenet_v2_1.0_224.onnx";
}

std::uint8_t pixel(int photo, std::size_t i) {
  return static_cast<std::uint8_t>(
      (i * 31 + i / 97 * 57 + static_cast<std::size_t>(photo) * 1009) * 2654435761U >> 7);
}

// The vectors of `photos` made-up photos.
std::vector<std::vector<float>> vectors(InferLane& lane, int batch, int photos) {
  std::vector<std::vector<float>> all;
  for (int first = 0; first < photos; first += batch) {
    const int filled = std::min(batch, photos - first);
    for (int slot = 0; slot < filled; ++slot) {
      const auto bytes = lane.pixels(slot);
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pixel(first + slot, i);
    }
    lane.infer();
    for (int slot = 0; slot < filled; ++slot) {
      const auto vector = lane.features(slot);
      all.emplace_back(vector.begin(), vector.end());
    }
  }
  return all;
}

std::vector<std::vector<float>> vectors(const Network& network, int photos) {
  InferLane lane = network.make_lane();
  return vectors(lane, network.batch(), photos);
}

std::pair<ErrorCode, std::string> load_error(const NetworkOptions& options) {
  try {
    Network::load(options);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::kInternal, "it loaded"};
}

TEST_F(NetworkTest, CutsTheHeadOff) {
  const Network network = Network::load(options_for(tiny_file()));
  EXPECT_EQ(network.dimension(), 8);
  EXPECT_EQ(network.batch(), 2);
  EXPECT_EQ(network.name(), "tiny.onnx");
  EXPECT_EQ(network.preprocess().width, 32);
  const auto& identity = network.fingerprint().identity;
  EXPECT_EQ(identity["layer"], "pool");
  EXPECT_EQ(identity["pool"], "none");
  EXPECT_EQ(identity["input_width"], 32);
  EXPECT_EQ(network.fingerprint().precision, "f32");
}

TEST_F(NetworkTest, ALayerWithPixelsIsAveragedUnlessToldOtherwise) {
  NetworkOptions options = options_for(tiny_file());
  const auto head = vectors(Network::load(options), 3);
  options.layer = "map";
  const Network averaged = Network::load(options);
  EXPECT_EQ(averaged.dimension(), 8);
  EXPECT_EQ(averaged.fingerprint().identity["pool"], "avg");
  const auto mean = vectors(averaged, 3);
  options.pool = Pool::kMax;
  const auto largest = vectors(Network::load(options), 3);
  options.pool = Pool::kNone;
  const Network flat = Network::load(options);
  EXPECT_EQ(flat.dimension(), 16 * 16 * 8);
  const auto all = vectors(flat, 3);
  for (std::size_t photo = 0; photo < 3; ++photo) {
    for (std::size_t c = 0; c < 8; ++c) {
      // Channels last: every eighth number belongs to channel c.
      double sum = 0;
      float most = 0;
      for (std::size_t i = c; i < all[photo].size(); i += 8) {
        sum += all[photo][i];
        most = std::max(most, all[photo][i]);
      }
      EXPECT_NEAR(mean[photo][c], sum / 256, 1e-5);
      EXPECT_NEAR(head[photo][c], sum / 256, 1e-5);
      EXPECT_EQ(largest[photo][c], most);
    }
  }
}

// A plain convolution in double precision over normalized pixels, against mean, std and colour order folded.
TEST_F(NetworkTest, PreprocessingIsWhatItSays) {
  const onnx::ModelProto model = tiny_network();
  const auto& weight = model.graph().initializer(0).float_data();
  for (const char* mode : {"tf", "caffe", "torch", "lite"}) {
    NetworkOptions options = options_for(tiny_file());
    options.preprocess = mode;
    options.layer = "map";
    options.pool = Pool::kNone;
    const Network network = Network::load(options);
    const auto found = vectors(network, 1)[0];
    const PreprocessSpec spec = preprocess_spec(mode);
    double worst = 0;
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) {
        for (int o = 0; o < 8; ++o) {
          double sum = 0;
          for (int c = 0; c < 3; ++c) {
            for (int k = 0; k < 9; ++k) {
              const int row = y * 2 - 1 + k / 3;
              const int column = x * 2 - 1 + k % 3;
              if (row < 0 || column < 0 || row >= 32 || column >= 32) continue;
              const int source = spec.bgr ? 2 - c : c;
              const double value = pixel(0, static_cast<std::size_t>((row * 32 + column) * 3 + source));
              const auto at = static_cast<std::size_t>(c);
              sum += (value - spec.mean[at]) / spec.std[at] * weight.Get((o * 3 + c) * 9 + k);
            }
          }
          const double expected = std::max(0.0, sum);
          const double scale = spec.std[0] == 1 ? 255 : 1;
          worst = std::max(
              worst, std::abs(expected - found[static_cast<std::size_t>((y * 16 + x) * 8 + o)]) / scale);
        }
      }
    }
    EXPECT_LT(worst, 1e-5) << mode;
  }
}

TEST_F(NetworkTest, UnknownLayersAreAnsweredWithTheNamesThereAre) {
  NetworkOptions options = options_for(tiny_file());
  options.layer = "maps";
  const auto [code, message] = load_error(options);
  EXPECT_EQ(code, ErrorCode::kUsage);
  EXPECT_THAT(message, AllOf(HasSubstr("`maps`"), HasSubstr("Similar: map"), HasSubstr("probabilities")));
}

TEST_F(NetworkTest, OptionsThatCannotBeAreRefused) {
  NetworkOptions options = options_for(tiny_file());
  options.batch = -1;
  EXPECT_EQ(load_error(options).first, ErrorCode::kUsage);
  options = options_for(tiny_file());
  options.input_size = 0;
  EXPECT_EQ(load_error(options).first, ErrorCode::kUsage);
  options = options_for(tiny_file());
  options.preprocess.reset();
  EXPECT_THAT(load_error(options).second, HasSubstr("--preprocess"));
  options = options_for("/nonexistent/network.onnx");
  EXPECT_EQ(load_error(options).first, ErrorCode::kNotFound);
  options = options_for("no-such-name");
  EXPECT_THAT(load_error(options).second, HasSubstr("efficientnet-lite0"));
  if (!cpu_features().bf16()) {
    options = options_for(tiny_file());
    options.precision = Precision::kBf16;
    EXPECT_EQ(load_error(options).first, ErrorCode::kUnavailable);
  }
}

TEST_F(NetworkTest, AFixedInputSizeIsNamedWhereItCannotChange) {
  onnx::ModelProto model =
      tiny_network();  // a dense layer over the whole map: 32 x 32 pixels and no other size
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.mutable_node(3)->set_input(0, "map");
  graph.mutable_initializer(1)->Clear();
  testing::fill(*graph.mutable_initializer(1), "dense.weight", {16 * 16 * 8, 5});
  const fs::path file = write_onnx(model, "fixed.onnx");
  const Network network = Network::load(options_for(file));
  EXPECT_EQ(network.dimension(), 16 * 16 * 8);
  NetworkOptions pooled = options_for(file);
  pooled.pool = Pool::kAvg;
  EXPECT_EQ(Network::load(pooled).dimension(), 8);
  NetworkOptions wrong = options_for(file);
  wrong.input_size = 64;
  const auto [code, message] = load_error(wrong);
  EXPECT_EQ(code, ErrorCode::kUsage);
  EXPECT_THAT(message, HasSubstr("64 x 64"));
}

TEST_F(NetworkTest, AFileOfPreprocessingSaysTheSizeOnlyWhereItStatesOne) {
  const auto spec = [&](const std::string& text) {
    const fs::path file = home_ / "spec.json";
    write_file_atomically(file, text);
    NetworkOptions options = options_for(tiny_file());
    options.input_size.reset();
    options.preprocess = file.string();
    return options;
  };
  EXPECT_EQ(Network::load(spec(R"({"mode": "torch", "width": 64, "height": 48})")).preprocess().width, 64);
  NetworkOptions sizeless = spec(R"({"mean": [0, 0, 0], "std": [255, 255, 255]})");
  EXPECT_EQ(Network::load(sizeless).preprocess().width, 224);
  onnx::ModelProto fixed = tiny_network();
  auto& shape =
      *fixed.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  for (const int i : {2, 3}) shape.mutable_dim(i)->set_dim_value(96);
  sizeless.model = write_onnx(fixed, "fixed-96.onnx").string();
  EXPECT_EQ(Network::load(sizeless).preprocess().width, 96);
}

TEST_F(NetworkTest, BytesAreGivenInTheOrderOfColoursAskedFor) {
  onnx::ModelProto bytes = tiny_network();
  onnx::GraphProto& graph = *bytes.mutable_graph();
  graph.mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::UINT8);
  onnx::NodeProto cast;
  cast.set_op_type("Cast");
  cast.add_input("input");
  cast.add_output("numbers");
  auto& to = *cast.add_attribute();
  to.set_name("to");
  to.set_type(onnx::AttributeProto::INT);
  to.set_i(onnx::TensorProto::FLOAT);
  graph.mutable_node(0)->set_input(0, "numbers");
  const auto nodes = graph.node();
  graph.clear_node();
  *graph.add_node() = cast;
  for (const auto& node : nodes) *graph.add_node() = node;
  const fs::path file = write_onnx(bytes, "bytes.onnx");

  // The same photo, its colours turned round by hand.
  const auto vector = [&](const std::string& preprocess, bool turned) {
    NetworkOptions options = options_for(file);
    options.preprocess = preprocess;
    const Network network = Network::load(options);
    InferLane lane = network.make_lane();
    const auto pixels = lane.pixels(0);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = pixel(0, turned ? i / 3 * 3 + 2 - i % 3 : i);
    }
    lane.infer();
    const auto features = lane.features(0);
    return std::vector<float>(features.begin(), features.end());
  };
  EXPECT_NE(vector("tf", true), vector("tf", false));
  EXPECT_THAT(vector("caffe", false), Pointwise(FloatNear(1e-4F), vector("tf", true)));
}

TEST_F(NetworkTest, ANetworkForGreyPicturesIsRefusedWhateverSidesAreOpen) {
  onnx::ModelProto grey = tiny_network();
  auto& shape =
      *grey.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  shape.mutable_dim(1)->set_dim_value(1);
  onnx::TensorProto& weights = *grey.mutable_graph()->mutable_initializer(0);
  weights.set_dims(1, 1);
  weights.mutable_float_data()->Truncate(8 * 3 * 3);
  NetworkOptions options = options_for(write_onnx(grey, "grey.onnx"));
  options.input_size.reset();
  const auto [code, message] = load_error(options);
  EXPECT_EQ(code, ErrorCode::kUsage);
  EXPECT_THAT(message, HasSubstr("no side of 3"));
}

TEST_F(NetworkTest, QuantizationTo16BitsIsRefused) {
  onnx::ModelProto quantized = tiny_network();
  quantized.mutable_opset_import(0)->set_version(21);
  onnx::GraphProto& graph = *quantized.mutable_graph();
  auto& step = *graph.add_initializer();
  step.set_name("step");
  step.set_data_type(onnx::TensorProto::FLOAT);
  step.add_float_data(1e-3F);
  auto& zero = *graph.add_initializer();
  zero.set_name("zero");
  zero.set_data_type(onnx::TensorProto::UINT16);
  zero.add_int32_data(32768);
  graph.clear_output();
  graph.add_output()->set_name("dequantized");
  add_node(graph, "QuantizeLinear", {"features", "step", "zero"}, "levels");
  add_node(graph, "DequantizeLinear", {"levels", "step", "zero"}, "dequantized");
  const auto [code, message] = load_error(options_for(write_onnx(quantized, "sixteen.onnx")));
  EXPECT_EQ(code, ErrorCode::kUnavailable);
  EXPECT_THAT(message, HasSubstr("16 bits"));
}

TEST_F(NetworkTest, PoolingOfWhatIsNoMapIsRefused) {
  onnx::ModelProto tokens = tiny_network();
  onnx::GraphProto& graph = *tokens.mutable_graph();
  graph.clear_output();
  graph.add_output()->set_name("tokens");
  onnx::NodeProto& reshape = add_node(graph, "Reshape", {"map", "shape"}, "rows");
  reshape.set_name("rows");
  auto& shape = *graph.add_initializer();
  shape.set_name("shape");
  shape.set_data_type(onnx::TensorProto::INT64);
  shape.add_dims(3);
  for (const int side : {0, 8, -1}) shape.add_int64_data(side);
  auto& order = *add_node(graph, "Transpose", {"rows"}, "tokens").add_attribute();
  order.set_name("perm");
  order.set_type(onnx::AttributeProto::INTS);
  for (const int axis : {0, 2, 1}) order.add_ints(axis);
  NetworkOptions options = options_for(write_onnx(tokens, "tokens.onnx"));
  EXPECT_EQ(Network::load(options).dimension(), 256 * 8);
  options.pool = Pool::kAvg;
  const auto [code, message] = load_error(options);
  EXPECT_EQ(code, ErrorCode::kUsage);
  EXPECT_THAT(message, AllOf(HasSubstr("tokens"), HasSubstr("--pool")));
}

TEST_F(NetworkTest, HeadlessNetworksAreTakenAsTheyAre) {
  onnx::ModelProto model = tiny_network();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.mutable_node()->DeleteSubrange(2, 4);
  graph.mutable_output(0)->Clear();
  graph.mutable_output(0)->set_name("map");
  const Network network = Network::load(options_for(write_onnx(model, "headless.onnx")));
  EXPECT_EQ(network.dimension(), 8);
  EXPECT_EQ(network.fingerprint().identity["layer"], "map");
  EXPECT_EQ(network.fingerprint().identity["pool"], "avg");
}

// A tiny network whose last dense layer goes on to `nodes`, the last of which is its output.
fs::path ending_in(
    std::initializer_list<std::tuple<const char*, std::initializer_list<std::string>, const char*>> nodes,
    const std::string& name) {
  onnx::ModelProto model = tiny_network();
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.mutable_node()->RemoveLast();
  onnx::TensorProto& one = *graph.add_initializer();
  one.set_name("one");
  one.set_data_type(onnx::TensorProto::FLOAT);
  one.add_float_data(1);
  for (const auto& [type, inputs, output] : nodes) add_node(graph, type, inputs, output);
  graph.mutable_output(0)->set_name(graph.node(graph.node_size() - 1).output(0));
  return write_onnx(model, name);
}

TEST_F(NetworkTest, ALayerThatGatesItselfIsNoClassifier) {
  const auto dimension = [](const fs::path& file) { return Network::load(options_for(file)).dimension(); };
  EXPECT_EQ(dimension(ending_in({{"Sigmoid", {"logits"}, "gate"}, {"Mul", {"logits", "gate"}, "swish"}},
                                "swish.onnx")),
            5);
  EXPECT_EQ(dimension(ending_in({{"Neg", {"logits"}, "minus"},
                                 {"Exp", {"minus"}, "exp"},
                                 {"Add", {"exp", "one"}, "more"},
                                 {"Div", {"logits", "more"}, "swish"}},
                                "swish_in_steps.onnx")),
            5);
  // Ends of classifiers: a sigmoid for each class, a softmax in steps, a temperature.
  EXPECT_EQ(dimension(ending_in({{"Sigmoid", {"logits"}, "sigmoid"}}, "sigmoid.onnx")), 8);
  EXPECT_EQ(
      dimension(ending_in(
          {{"Exp", {"logits"}, "exp"}, {"ReduceSum", {"exp"}, "sum"}, {"Div", {"exp", "sum"}, "softmax"}},
          "softmax_in_steps.onnx")),
      8);
  EXPECT_EQ(dimension(ending_in({{"Mul", {"logits", "one"}, "scaled"}, {"Softmax", {"scaled"}, "softmax"}},
                                "scaled.onnx")),
            8);
}

TEST_F(NetworkTest, TreesBehindTheNetworkAreCutOff) {
  onnx::ModelProto model = tiny_network();
  auto& opset = *model.add_opset_import();
  opset.set_domain("ai.onnx.ml");
  opset.set_version(3);
  add_node(*model.mutable_graph(), "TreeEnsembleClassifier", {"features"}, "label").set_domain("ai.onnx.ml");
  model.mutable_graph()->add_output()->set_name("label");
  EXPECT_EQ(vectors(Network::load(options_for(write_onnx(model, "trees.onnx"))), 2),
            vectors(Network::load(options_for(tiny_file())), 2));
}

TEST_F(NetworkTest, DamagedFilesEndInAnError) {
  const std::string whole = read_file(tiny_file());
  const fs::path file = home_ / "damaged.onnx";
  for (const char* ending : {".onnx", ".tflite", ".xml"}) {
    const fs::path damaged = fs::path(file).replace_extension(ending);
    for (const std::string& bytes : {std::string(), std::string("hello"), whole.substr(0, whole.size() / 2),
                                     std::string(1000, '\xff'), std::string(1000, '\0')}) {
      write_file_atomically(damaged, bytes);
      const auto [code, message] = load_error(options_for(damaged));
      EXPECT_EQ(code, ErrorCode::kFormat) << message;
      EXPECT_THAT(message, HasSubstr(damaged.string()));
    }
  }
}

TEST_F(NetworkTest, FlippedBitsNeverCrash) {
  const std::string whole = read_file(tiny_file());
  for (std::size_t at = 0; at < whole.size(); at += 41) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    const fs::path file = home_ / "flipped.onnx";
    write_file_atomically(file, bytes);
    try {
      const Network network = Network::load(options_for(file));
      EXPECT_GT(network.dimension(), 0);
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
    }
  }
}

TEST_F(NetworkTest, CompiledNetworksAreKeptAndGiveTheSame) {
  NetworkOptions options = options_for(tiny_file());
  options.compile_cache = true;
  const auto first = vectors(Network::load(options), 4);
  ASSERT_TRUE(fs::exists(home_ / "cache" / "compiled"));
  EXPECT_FALSE(fs::is_empty(home_ / "cache" / "compiled"));
  EXPECT_EQ(vectors(Network::load(options), 4), first);
  for (const auto& entry : fs::directory_iterator(home_ / "cache" / "compiled")) {
    if (entry.is_regular_file()) fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
  }
  EXPECT_EQ(vectors(Network::load(options), 4), first);
}

TEST_F(NetworkTest, TheBatchIsChosenByTheInputSize) {
  EXPECT_EQ(batch_for(32, 32), 8);
  EXPECT_EQ(batch_for(128, 128), 8);
  EXPECT_EQ(batch_for(224, 224), 4);
  EXPECT_EQ(batch_for(448, 224), 2);
  EXPECT_EQ(batch_for(2000, 3000), 1);
  NetworkOptions options = options_for(tiny_file());
  options.batch = 0;
  const Network chosen = Network::load(options);
  EXPECT_EQ(chosen.batch(), batch_for(chosen.preprocess().width, chosen.preprocess().height));
  options.batch = 1;
  EXPECT_EQ(vectors(chosen, 3), vectors(Network::load(options), 3));
}

// The promise that lets Pomona choose batch and threads as it likes.
TEST_F(NetworkTest, VectorsAreTheSameBitsForAnyBatchAndStream) {
  if (!fs::exists(mobilenet())) GTEST_SKIP() << "no real network: " << mobilenet() << " is not there";
  std::vector<Precision> precisions = {Precision::kF32};
  if (cpu_features().bf16()) precisions.push_back(Precision::kBf16);
  constexpr int kPhotos = 11;
  for (const Precision precision : precisions) {
    NetworkOptions options = options_for(mobilenet());
    options.input_size = 96;
    options.precision = precision;
    options.batch = 1;
    const auto expected = vectors(Network::load(options), kPhotos);
    for (const int batch : {1, 2, 4, 8, 16}) {
      for (const int streams : {1, 2}) {
        options.batch = batch;
        options.streams = streams;
        const Network network = Network::load(options);
        std::vector<std::vector<std::vector<float>>> found(static_cast<std::size_t>(streams));
        {
          std::vector<std::jthread> threads;
          for (auto& mine : found) threads.emplace_back([&] { mine = vectors(network, kPhotos); });
        }
        for (const auto& mine : found) EXPECT_TRUE(mine == expected) << batch << " x " << streams;
      }
    }
  }
}

TEST_F(NetworkTest, LanesOutliveTheNetworkAndAreAligned) {
  std::optional<InferLane> lane;
  {
    const Network network = Network::load(options_for(tiny_file()));
    lane = network.make_lane();
  }
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(lane->pixels(0).data()) % 64, 0U);
  EXPECT_EQ(lane->pixels(1).data(), lane->pixels(0).data() + lane->pixels(0).size());
  const auto alive = vectors(*lane, 2, 2);
  EXPECT_NE(alive[0], alive[1]);
}

}  // namespace
}  // namespace pomona
