// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/onnx_graph.h"

#include <unistd.h>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/model/tiny_network.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
using testing::add_node;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::tiny_network;
using testing::write_onnx;

// The message of the Error{kFormat} that the file causes; empty where it loads.
std::string complaint(const fs::path& file) {
  try {
    load_onnx(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFormat) << error.what();
    return error.what();
  }
  return "";
}

void make_external(onnx::ModelProto& model, const std::string& location, const std::string& length = "") {
  onnx::TensorProto& tensor = *model.mutable_graph()->mutable_initializer(0);
  tensor.clear_float_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  auto& entry = *tensor.add_external_data();
  entry.set_key("location");
  entry.set_value(location);
  if (!length.empty()) {
    auto& size = *tensor.add_external_data();
    size.set_key("length");
    size.set_value(length);
  }
}

TEST(OnnxGraph, LoadsASoundNetwork) {
  const OnnxModel model = load_onnx(write_onnx(tiny_network(), "sound.onnx"));
  EXPECT_EQ(model->graph().node_size(), 6);
  EXPECT_FALSE(has_ml_nodes(*model));
}

TEST(OnnxGraph, MissingFileIsNotFound) {
  try {
    load_onnx("/nonexistent/network.onnx");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

TEST(OnnxGraph, WhatCannotBeReadIsNotTakenForAnEmptyGraph) {
  try {
    load_onnx(fs::path(::testing::TempDir()));  // a folder opens, and every read of it fails
    FAIL() << "a folder was read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("Is a directory"));
    EXPECT_NE(error.code(), ErrorCode::kFormat);
  }
}

TEST(OnnxGraph, EveryTruncationIsRefusedOrSound) {
  const std::string whole = tiny_network().SerializeAsString();
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    try {
      parse_onnx(std::string_view(whole).substr(0, size));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat);
      ++refused;
    }
  }
  EXPECT_EQ(refused, static_cast<int>((whole.size() + 6) / 7));
}

TEST(OnnxGraph, RefusesExternalDataOutsideTheFolder) {
  for (const char* location :
       {"/etc/passwd", "../secret.bin", "a/../../secret.bin", "", "missing.bin", "."}) {
    onnx::ModelProto model = tiny_network();
    make_external(model, location);
    EXPECT_THAT(complaint(write_onnx(model, "external.onnx")), HasSubstr("external data")) << location;
  }
}

TEST(OnnxGraph, RefusesALinkThatLeavesTheFolder) {
  onnx::ModelProto model = tiny_network();
  make_external(model, "link.bin");
  const fs::path file = write_onnx(model, "link.onnx");
  fs::remove(file.parent_path() / "link.bin");
  fs::create_symlink("/etc/passwd", file.parent_path() / "link.bin");
  EXPECT_THAT(complaint(file), HasSubstr("outside"));
}

TEST(OnnxGraph, InlinesExternalDataInsideTheFolder) {
  onnx::ModelProto model = tiny_network();
  std::string bytes;
  for (const float value : model.graph().initializer(0).float_data()) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  make_external(model, "inside.bin");
  const fs::path file = write_onnx(model, "inside.onnx");
  write_file_atomically(file.parent_path() / "inside.bin", bytes);
  const OnnxModel loaded = load_onnx(file);
  EXPECT_THAT(external_files(*loaded, file.parent_path()),
              ElementsAre(fs::canonical(file.parent_path() / "inside.bin")));
  inline_external_data(*loaded, file.parent_path());
  EXPECT_EQ(loaded->graph().initializer(0).raw_data(), bytes);
  EXPECT_NO_THROW(parse_onnx(serialize_onnx(*loaded)));
  write_file_atomically(file.parent_path() / "inside.bin", bytes.substr(4));
  EXPECT_THAT(complaint(file), HasSubstr("needs 864 bytes"));
}

TEST(OnnxGraph, RefusesHugeAndLyingShapes) {
  onnx::ModelProto huge = tiny_network();
  huge.mutable_graph()->mutable_initializer(0)->set_dims(0, std::int64_t{1} << 60);
  EXPECT_THAT(complaint(write_onnx(huge, "huge.onnx")), HasSubstr("2^33"));
  onnx::ModelProto negative = tiny_network();
  negative.mutable_graph()->mutable_initializer(0)->set_dims(0, -8);
  EXPECT_THAT(complaint(write_onnx(negative, "negative.onnx")), HasSubstr("negative"));
  onnx::ModelProto lying = tiny_network();
  lying.mutable_graph()->mutable_initializer(0)->set_dims(0, 9);
  EXPECT_THAT(complaint(write_onnx(lying, "lying.onnx")), HasSubstr("needs 243 numbers"));
  onnx::ModelProto wide = tiny_network();
  auto& shape =
      *wide.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  shape.mutable_dim(2)->set_dim_value(std::int64_t{1} << 40);
  EXPECT_THAT(complaint(write_onnx(wide, "wide.onnx")), HasSubstr("2^33"));
}

TEST(OnnxGraph, RefusesCyclesAndLooseEnds) {
  onnx::ModelProto cycle = tiny_network();
  cycle.mutable_graph()->mutable_node(1)->set_input(0, "probabilities");
  EXPECT_THAT(complaint(write_onnx(cycle, "cycle.onnx")), HasSubstr("nothing before it makes"));
  onnx::ModelProto twice = tiny_network();
  twice.mutable_graph()->mutable_node(2)->set_output(0, "map");
  EXPECT_THAT(complaint(write_onnx(twice, "twice.onnx")), HasSubstr("two nodes make"));
  onnx::ModelProto loose = tiny_network();
  loose.mutable_graph()->mutable_output(0)->set_name("nowhere");
  EXPECT_THAT(complaint(write_onnx(loose, "loose.onnx")), HasSubstr("nothing makes its output"));
}

TEST(OnnxGraph, PruningKeepsWhatATensorNeeds) {
  onnx::ModelProto model = tiny_network();
  prune_onnx(model, {"features"});
  EXPECT_EQ(model.graph().node_size(), 4);
  ASSERT_EQ(model.graph().initializer_size(), 1);
  EXPECT_EQ(model.graph().initializer(0).name(), "conv.weight");
  ASSERT_EQ(model.graph().output_size(), 1);
  EXPECT_EQ(model.graph().output(0).name(), "features");
  EXPECT_NO_THROW(parse_onnx(serialize_onnx(model)));
  onnx::ModelProto other = tiny_network();
  EXPECT_THROW(prune_onnx(other, {"no such tensor"}), Error);
}

TEST(OnnxGraph, OutputsBehindTreesAreTold) {
  onnx::ModelProto model = tiny_network();
  model.mutable_graph()->add_output()->set_name("features");
  auto& opset = *model.add_opset_import();
  opset.set_domain("ai.onnx.ml");
  opset.set_version(3);
  add_node(*model.mutable_graph(), "TreeEnsembleClassifier", {"features"}, "label").set_domain("ai.onnx.ml");
  model.mutable_graph()->add_output()->set_name("label");
  EXPECT_TRUE(has_ml_nodes(model));
  EXPECT_THAT(outputs_without_ml(model), ElementsAre("probabilities", "features"));
  prune_onnx(model, outputs_without_ml(model));
  EXPECT_FALSE(has_ml_nodes(model));
  EXPECT_EQ(model.opset_import_size(), 1);
}

TEST(OnnxGraph, MetadataIsKept) {
  onnx::ModelProto model = tiny_network();
  EXPECT_EQ(onnx_metadata(model, "pomona.labels"), "");
  set_onnx_metadata(model, "pomona.labels", "[1]");
  set_onnx_metadata(model, "pomona.labels", "[2]");
  EXPECT_EQ(model.metadata_props_size(), 1);
  EXPECT_EQ(onnx_metadata(model, "pomona.labels"), "[2]");
}

}  // namespace
}  // namespace pomona
