// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/registry.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/model/network.h"
#include "pomona/model/tiny_network.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::tiny_network;
using testing::write_onnx;

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = fs::path(::testing::TempDir()) / ("pomona-registry-" + std::to_string(::getpid()));
    ::setenv("POMONA_HOME", home_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("POMONA_HOME");
    fs::remove_all(home_);
  }
  fs::path home_;
};

ErrorCode add_error(const std::string& name, const fs::path& file) {
  try {
    add_model(name, file, preprocess_spec("tf"), "penultimate", "none stated");
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST_F(RegistryTest, BuiltInCardsAreWhole) {
  const auto cards = list_models();
  ASSERT_EQ(cards.size(), 4U);
  for (const ModelCard& card : cards) {
    EXPECT_EQ(card.sha256.size(), 64U) << card.name;
    EXPECT_GT(card.bytes, 0U) << card.name;
    EXPECT_FALSE(card.licence.empty()) << card.name;
    EXPECT_FALSE(card.source.empty()) << card.name;
    EXPECT_GT(card.parameters, 1'000'000U) << card.name;
    // Four bytes a weight, and little besides.
    EXPECT_NEAR(static_cast<double>(card.bytes), static_cast<double>(card.parameters) * 4,
                0.02 * static_cast<double>(card.bytes))
        << card.name;
    EXPECT_TRUE(card.top1.has_value()) << card.name;
    EXPECT_FALSE(card.installed) << card.name;
    EXPECT_EQ(card.file, home_ / "models" / (card.name + ".onnx"));
  }
  EXPECT_EQ(find_model("efficientnet-lite0").preprocess.mode, "lite");
  EXPECT_EQ(find_model("vgg16").dimension, 4096);
}

TEST_F(RegistryTest, UnknownNamesAreAnsweredWithThoseThereAre) {
  try {
    find_model("resnet51");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("resnet51"), HasSubstr("resnet50"), HasSubstr("efficientnet-lite0")));
  }
}

TEST_F(RegistryTest, ANetworkThatIsNotThereSaysHowToGetIt) {
  NetworkOptions options;
  options.model = "resnet50";
  try {
    Network::load(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("pomona models pull resnet50"));
  }
}

TEST_F(RegistryTest, AddedNetworksRunByName) {
  const fs::path file = write_onnx(tiny_network(), "mine.onnx");
  PreprocessSpec spec = preprocess_spec("caffe");
  spec.width = spec.height = 48;
  spec.sized = true;
  const ModelCard card = add_model("mine", file, spec, "map", "CC0");
  EXPECT_EQ(card.sha256, sha256_file(file));
  EXPECT_TRUE(card.installed);
  EXPECT_EQ(card.file, home_ / "models" / "mine" / "mine.onnx");
  EXPECT_EQ(card.licence, "CC0");
  fs::remove(file);
  NetworkOptions options;
  options.model = "mine";
  options.compile_cache = false;
  const Network network = Network::load(options);
  EXPECT_EQ(network.preprocess().width, 48);
  EXPECT_TRUE(network.preprocess().bgr);
  EXPECT_EQ(network.fingerprint().identity["layer"], "map");
  ASSERT_EQ(list_models().size(), 5U);
  EXPECT_EQ(list_models().back().name, "mine");
}

// The tiny network for photos of one size.
onnx::ModelProto fixed_network(int side) {
  onnx::ModelProto model = tiny_network();
  auto& shape =
      *model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  for (const int i : {2, 3}) shape.mutable_dim(i)->set_dim_value(side);
  return model;
}

TEST_F(RegistryTest, ANetworkOfOneSizeKeepsItUnlessToldOtherwise) {
  const fs::path file = write_onnx(fixed_network(96), "fixed.onnx");
  PreprocessSpec spec = preprocess_spec("tf");
  EXPECT_EQ(add_model("own-size", file, spec, "penultimate", "CC0").preprocess.width, 96);
  spec = preprocess_from_json({{"mode", "tf"}, {"width", 64}, {"height", 48}});
  const ModelCard asked = add_model("asked", file, spec, "penultimate", "CC0");
  EXPECT_EQ(asked.preprocess.width, 64);
  EXPECT_EQ(asked.preprocess.height, 48);
  const ModelCard open =
      add_model("open", write_onnx(tiny_network(), "open.onnx"), preprocess_spec("tf"), "penultimate", "");
  EXPECT_EQ(open.preprocess.width, 224);
}

TEST_F(RegistryTest, ASymbolicLinkIsAddedUnderItsOwnName) {
  const fs::path file =
      write_onnx(tiny_network(), "5ca1ab1e");  // as download caches name what links point to
  const fs::path link = file.parent_path() / "linked.onnx";
  fs::remove(link);
  fs::create_symlink(file, link);
  const ModelCard card = add_model("linked", link, preprocess_spec("tf"), "penultimate", "CC0");
  EXPECT_EQ(card.file, home_ / "models" / "linked" / "linked.onnx");
  EXPECT_FALSE(fs::is_symlink(card.file));
  EXPECT_EQ(card.sha256, sha256_file(file));
}

TEST_F(RegistryTest, WhatCannotRunIsNotAdded) {
  const fs::path file = write_onnx(tiny_network(), "fine.onnx");
  EXPECT_THROW(add_model("layerless", file, preprocess_spec("tf"), "no-such-layer", ""), Error);
  EXPECT_TRUE(fs::is_empty(home_ / "models"));
}

TEST_F(RegistryTest, NothingIsLeftBehindWhereAddingFails) {
  EXPECT_EQ(add_error("mine", "/nonexistent/network.onnx"), ErrorCode::kNotFound);
  write_file_atomically(home_ / "broken.onnx", "not a network");
  EXPECT_EQ(add_error("broken", home_ / "broken.onnx"), ErrorCode::kFormat);
  const fs::path file = write_onnx(tiny_network(), "other.onnx");
  for (const char* name : {"", "..", "a/b", ".hidden", "-x", "x.onnx", "gr\xc3\xbcn"}) {
    EXPECT_EQ(add_error(name, file), ErrorCode::kUsage) << name;
  }
  EXPECT_EQ(add_error("vgg16", file), ErrorCode::kExists);
  EXPECT_TRUE(!fs::exists(home_ / "models") || fs::is_empty(home_ / "models"));
  EXPECT_EQ(list_models().size(), 4U);
}

TEST_F(RegistryTest, WhatAKilledAddLeftIsNoNetworkAndGoesInTime) {
  const fs::path models = home_ / "models";
  for (const char* name : {".old.adding", ".new.adding", "mine.adding"}) {
    fs::create_directories(models / name);
    fs::copy_file(write_onnx(tiny_network(), "tiny.onnx"), models / name / "half.onnx");
  }
  for (const char* name : {".old.adding", "mine.adding"})
    fs::last_write_time(models / name, fs::file_time_type::clock::now() - std::chrono::hours(48));
  EXPECT_EQ(list_models().size(), 4U);
  EXPECT_THROW(find_model("old"), Error);
  add_model("fine", write_onnx(tiny_network(), "tiny.onnx"), preprocess_spec("tf"), "penultimate", "");
  EXPECT_FALSE(fs::exists(models / ".old.adding"));
  EXPECT_TRUE(fs::exists(models / ".new.adding")) << "another add may be at work on it";
  EXPECT_TRUE(fs::exists(models / "mine.adding"));
}

TEST_F(RegistryTest, ADamagedCardIsNamedAndHidesNoOther) {
  write_file_atomically(home_ / "models" / "bad" / "card.json", "{\"file\": 3");
  add_model("good", write_onnx(tiny_network(), "good.onnx"), preprocess_spec("tf"), "penultimate", "CC0");
  EXPECT_EQ(list_models().size(), 5U);
  try {
    find_model("bad");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFormat);
    EXPECT_THAT(error.what(), HasSubstr("card.json"));
  }
  write_file_atomically(home_ / "models" / "bad" / "card.json",
                        R"({"file": "../../../etc/passwd", "preprocess": {"mode": "tf"}})");
  EXPECT_THROW(find_model("bad"), Error);
}

}  // namespace
}  // namespace pomona
