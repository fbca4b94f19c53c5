// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/model/fingerprint.h"

namespace pomona {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

template <typename Call>
std::pair<ErrorCode, std::string> caught(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::kInternal, "nothing was thrown"};
}

TEST(Preprocess, ModesMeanWhatKerasMeans) {
  const PreprocessSpec tf = preprocess_spec("tf");
  EXPECT_FLOAT_EQ((255 - tf.mean[0]) / tf.std[0], 1.0F);
  EXPECT_FLOAT_EQ((0 - tf.mean[2]) / tf.std[2], -1.0F);
  const PreprocessSpec caffe = preprocess_spec("caffe");
  EXPECT_TRUE(caffe.bgr);
  EXPECT_FLOAT_EQ(caffe.mean[0], 103.939F);
  EXPECT_FLOAT_EQ(caffe.std[1], 1.0F);
  const PreprocessSpec torch = preprocess_spec("torch");
  EXPECT_FLOAT_EQ((100 - torch.mean[1]) / torch.std[1], (100.0F / 255 - 0.456F) / 0.224F);
  const PreprocessSpec lite = preprocess_spec("lite");
  EXPECT_FLOAT_EQ((255 - lite.mean[0]) / lite.std[0], 1.0F);
}

TEST(Preprocess, JsonGoesRoundAndReadsWell) {
  for (const char* mode : {"tf", "caffe", "torch", "lite"}) {
    PreprocessSpec spec = preprocess_spec(mode);
    spec.width = 128;
    spec.kernel = Kernel::kBilinear;
    spec.fit = Fit::kPad;
    spec.jpeg_scale = JpegScale::kOff;
    spec.exif_orientation = false;
    const json written = to_json(spec);
    EXPECT_EQ(to_json(preprocess_from_json(written)), written);
    EXPECT_EQ(preprocess_from_json(json::parse(written.dump())).mean, spec.mean);
  }
  EXPECT_THAT(to_json(preprocess_spec("torch")).dump(), HasSubstr("[123.675,116.28,103.53]"));
}

TEST(Preprocess, AChangedModeIsCustom) {
  json changed = to_json(preprocess_spec("tf"));
  changed["mean"] = {1, 2, 3};
  EXPECT_EQ(preprocess_from_json(changed).mode, "custom");
}

TEST(Preprocess, FilesAreRead) {
  const std::string file = ::testing::TempDir() + "spec-" + std::to_string(::getpid()) + ".json";
  write_file_atomically(
      file, R"({"mean": [1, 2, 3], "std": [4, 5, 6], "colour": "bgr", "width": 96, "height": 64})");
  const PreprocessSpec spec = preprocess_spec(file);
  EXPECT_EQ(spec.mode, "custom");
  EXPECT_TRUE(spec.bgr);
  EXPECT_EQ(spec.width, 96);
  EXPECT_EQ(spec.height, 64);
  EXPECT_FLOAT_EQ(spec.std[2], 6);
  write_file_atomically(file, "{");
  const auto [code, message] = caught([&] { preprocess_spec(file); });
  EXPECT_EQ(code, ErrorCode::kFormat);
  EXPECT_THAT(message, HasSubstr(file));
}

TEST(Preprocess, WrongFieldsAreNamed) {
  const auto refuse = [](const char* text) {
    const auto [code, message] = caught([&] { preprocess_from_json(json::parse(text)); });
    EXPECT_EQ(code, ErrorCode::kFormat) << text;
    return message;
  };
  EXPECT_THAT(refuse(R"([])"), HasSubstr("object"));
  EXPECT_THAT(refuse(R"({})"), HasSubstr("mean"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "mean": [1, 2]})"), HasSubstr("mean"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "std": [1, 0, 1]})"), HasSubstr("std"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "std": [1, 1e300, 1]})"), HasSubstr("std"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "width": 0})"), HasSubstr("width"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "width": 1e9})"), HasSubstr("width"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "colour": "yuv"})"), HasSubstr("colour"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "kernel": "sinc"})"), HasSubstr("sinc"));
  EXPECT_THAT(refuse(R"({"mode": "tf", "exif_orientation": 1})"), HasSubstr("exif_orientation"));
  const auto [code, message] = caught([] { preprocess_spec("keras"); });
  EXPECT_EQ(code, ErrorCode::kUsage);
  EXPECT_THAT(message, AllOf(HasSubstr("keras"), HasSubstr("torch")));
}

Fingerprint sample() {
  return {{{"layer", "pool"}, {"input_width", 224}, {"network_sha256", "ab"}}, "bf16"};
}

TEST(Fingerprint, HashDependsOnEveryFieldButNotTheirOrder) {
  const Fingerprint a = sample();
  Fingerprint b{{}, "f32"};
  b.identity["network_sha256"] = "ab";
  b.identity["input_width"] = 224;
  b.identity["layer"] = "pool";
  EXPECT_EQ(a.identity_hash(), b.identity_hash());
  b.identity["input_width"] = 128;
  EXPECT_NE(a.identity_hash(), b.identity_hash());
}

TEST(Fingerprint, GoesThroughJsonAndTellsDamage) {
  const Fingerprint a = sample();
  json written = json::parse(to_json(a).dump());
  EXPECT_EQ(fingerprint_from_json(written).identity_hash(), a.identity_hash());
  EXPECT_EQ(fingerprint_from_json(written).precision, "bf16");
  written["identity"]["layer"] = "other";
  EXPECT_EQ(caught([&] { fingerprint_from_json(written); }).first, ErrorCode::kFormat);
  EXPECT_EQ(caught([] { fingerprint_from_json(json::array()); }).first, ErrorCode::kFormat);
  EXPECT_EQ(
      caught([] { fingerprint_from_json({{"identity", json::object()}, {"precision", "auto"}}); }).first,
      ErrorCode::kFormat);
}

TEST(Fingerprint, MismatchSpellsOutWhatDiffers) {
  const Fingerprint a = sample();
  Fingerprint b = sample();
  EXPECT_EQ(require_same(a, "photos", b, "the PCA", true), std::nullopt);
  b.identity["input_width"] = 128;
  b.identity["kernel"] = "nearest";
  const auto [code, message] = caught([&] { require_same(a, "photos", b, "the PCA", false); });
  EXPECT_EQ(code, ErrorCode::kMismatch);
  EXPECT_THAT(message, AllOf(HasSubstr("input_width: 224 in photos, 128 in the PCA"),
                             HasSubstr("kernel: not stated in photos, \"nearest\" in the PCA"),
                             Not(HasSubstr("layer:"))));
}

TEST(Fingerprint, PrecisionWarnsUnlessStrict) {
  const Fingerprint a = sample();
  Fingerprint b = sample();
  b.precision = "f32";
  const auto warning = require_same(a, "photos", b, "the PCA", false);
  ASSERT_TRUE(warning.has_value());
  EXPECT_THAT(*warning, AllOf(HasSubstr("photos"), HasSubstr("bf16"), HasSubstr("f32")));
  EXPECT_EQ(caught([&] { require_same(a, "photos", b, "the PCA", true); }).first, ErrorCode::kMismatch);
}

}  // namespace
}  // namespace pomona
