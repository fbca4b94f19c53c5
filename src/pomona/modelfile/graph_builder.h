// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace onnx {
class ModelProto;
class NodeProto;
}  // namespace onnx

namespace pomona {

struct ForestHead;

// Internal to modelfile/: appends nodes to an ONNX graph, in the spelling of its opset.
class GraphBuilder {
 public:
  // `model` must outlive the builder. Throws Error{kUnavailable} where its opset is older than 7.
  explicit GraphBuilder(onnx::ModelProto& model);

  void floats(const std::string& name, std::span<const float> values, const std::vector<std::int64_t>& shape);
  void integers(const std::string& name, std::vector<std::int64_t> values);

  // One node; returns its output's name.
  onnx::NodeProto& node(const std::string& type, const std::vector<std::string>& inputs,
                        const std::string& output);
  // Sums or the like over one axis, which is dropped.
  void reduce(const std::string& type, const std::string& input, std::int64_t axis,
              const std::string& output);
  // output = input W^T + bias, both initializers.
  void dense(const std::string& input, const std::string& weights, const std::string& bias,
             const std::string& output);
  // Class scores and label of a forest (TreeEnsembleClassifier).
  void forest(const std::string& input, const ForestHead& head, int classes, const std::string& label,
              const std::string& scores);

  // Declares an output of the graph; sides < 0 stand for the batch.
  void output(const std::string& name, bool integer, const std::vector<std::int64_t>& shape);

 private:
  onnx::ModelProto& model_;
  std::int64_t opset_ = 0;
};

}  // namespace pomona
