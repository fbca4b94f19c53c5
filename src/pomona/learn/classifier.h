// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/learn/moments.h"

namespace pomona {

// probabilities = softmax(W x + b): logistic regression and LDA. In ONNX: Gemm, Softmax.
struct LinearHead {
  std::vector<float> weights;  // classes x d
  std::vector<float> bias;     // classes
};

// Trees as parallel arrays, all trees one after another; the probabilities of the trees are averaged. In
// ONNX: TreeEnsembleClassifier with BRANCH_LEQ nodes, a leaf's class weights being its probabilities over the
// number of trees.
struct ForestHead {
  std::vector<std::int32_t> roots;    // per tree, the index of its first node
  std::vector<std::int32_t> feature;  // per node; -1 in a leaf
  std::vector<float> threshold;       // per node: x[feature] <= threshold goes left
  std::vector<std::int32_t> left;     // per node: index of a later node; in a leaf, the row of `leaves`
  std::vector<std::int32_t> right;    // per node: index of a later node; in a leaf, unused (0)
  std::vector<float> leaves;          // leaves x classes
};

// A trained head: feature vectors or components in, class probabilities out. Value type; const members are
// thread-safe.
struct Classifier {
  std::string kind;  // logistic | lda | forest
  int d = 0;
  std::vector<std::string> labels;  // one per class, sorted
  std::variant<LinearHead, ForestHead> head;
  nlohmann::json record;  // how it was trained; free-form

  int classes() const { return static_cast<int>(labels.size()); }
  const LinearHead* linear() const { return std::get_if<LinearHead>(&head); }
  const ForestHead* forest() const { return std::get_if<ForestHead>(&head); }

  // out: rows x classes, from x: rows x d. A row's result does not depend on the rows around it, nor on
  // threads. Throws Error{kMismatch} on wrong sizes.
  void probabilities(std::span<const float> x, std::size_t rows, std::span<float> out, int threads = 1) const;

  // Portable file: magic, version, header JSON, arrays, checksum. deserialize checks every index: a hostile
  // file throws Error{kFormat} and never makes probabilities() read beyond its arrays.
  std::string serialize() const;
  static Classifier deserialize(std::string_view bytes);
};

// Rows with the number of their class: what a head is trained on. Views; nothing is copied.
struct TrainingSet {
  std::span<const float> x;  // rows x d
  std::size_t n = 0;         // rows to train on
  int d = 0;
  std::span<const std::int32_t> y;  // n, each 0 .. labels.size() - 1
  std::vector<std::string> labels;
  std::span<const std::size_t> rows = {};  // n: which rows of x; empty: all, x being n x d
};

struct TrainOptions {
  bool balanced =
      false;        // classes weigh the same: row weight n / (classes x rows of its class), as scikit-learn
  int threads = 1;  // changes the time, not the result
  // logistic: minimizes C x sum of losses + |W|^2 / 2 (the bias is free), scikit-learn's
  // LogisticRegression(C). Features that spread by less than 0.01 in root mean square are taken times a
  // factor that makes it 1, or the penalty would leave them no weights.
  double c = 1.0;
  int max_iterations = 1000;
  double tolerance = 1e-5;  // on the largest slope of the mean loss, as scikit-learn's `tol`
  // lda: covariance = (1 - s) S + s trace(S) / d I; negative: s by the oracle approximating estimate.
  double shrinkage = -1;
  // forest.
  int trees = 100;
  std::uint64_t seed = 0;
};

// All throw Error{kUsage} for fewer than two classes, a class without rows, a label out of range, or values
// that are NaN or infinite; the message says which.

// Multinomial logistic regression, L2; L-BFGS (Nocedal, Wright: Numerical Optimization, algorithm 7.5) on
// centred features. Beside x it needs at most some 100 MB, whatever the rows. record: iterations, loss,
// converged; feature_scale, the factor of small features, where there was one.
Classifier train_logistic(const TrainingSet& set, const TrainOptions& options = {});

// What LDA needs: moments of all rows, and sums per class. Mergeable like the moments.
struct ClassMoments {
  Moments moments;
  std::vector<std::uint64_t> counts;  // classes
  std::vector<double> sums;           // classes x d

  ClassMoments(int d, int classes);
  void add(std::span<const float> x, std::size_t rows, std::span<const std::int32_t> y, int threads = 1);
  void merge(const ClassMoments& other);
};

// Linear discriminant analysis with a shrunk within-class covariance (Chen, Wiesel, Eldar, Hero: Shrinkage
// algorithms for MMSE covariance estimation, 2010: the OAS estimate). record: shrinkage.
Classifier train_lda(const ClassMoments& moments, std::vector<std::string> labels,
                     const TrainOptions& options = {});
Classifier train_lda(const TrainingSet& set, const TrainOptions& options = {});

// Random forest (oneDAL; a copy of the rows where some are chosen): bootstrap, sqrt(d) features per node,
// leaves of one row, probabilities averaged. It keeps all cores busy that the process may use, whatever
// `threads` says; the result does not depend on them.
Classifier train_forest(const TrainingSet& set, const TrainOptions& options = {});

// Throws what the trainers throw.
void check_training_set(const TrainingSet& set);

}  // namespace pomona
