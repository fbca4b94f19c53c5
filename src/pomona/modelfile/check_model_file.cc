// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/modelfile/model_file.h"

namespace pomona {
namespace {

constexpr std::size_t kMostClasses = 1 << 20;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::kUsage, "the parts of the model do not fit together: " + why);
}

bool finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float value) { return value - value == 0; });
}

std::size_t product(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

void check_head(const LinearHead& head, int classes, int d, const std::string& name) {
  if (head.weights.size() != product(classes, d) || head.bias.size() != static_cast<std::size_t>(classes)) {
    refuse(fmt::format("the head of `{}` has {} weights and {} biases for {} classes of {} numbers", name,
                       head.weights.size(), head.bias.size(), classes, d));
  }
  if (!finite(head.weights) || !finite(head.bias)) {
    refuse(fmt::format("the head of `{}` holds a value that is no number", name));
  }
}

// Children stand behind their parents, so that no walk goes in circles, and inside their own tree.
void check_head(const ForestHead& head, int classes, int d, const std::string& name) {
  const std::size_t nodes = head.feature.size();
  if (head.threshold.size() != nodes || head.left.size() != nodes || head.right.size() != nodes ||
      nodes > (std::size_t{1} << 31) - 2) {
    refuse(fmt::format("the forest of `{}` has arrays of different lengths", name));
  }
  const auto width = static_cast<std::size_t>(classes);
  if (head.roots.empty() || head.leaves.empty() || head.leaves.size() % width != 0) {
    refuse(fmt::format("the forest of `{}` has no trees or no leaves", name));
  }
  if (!finite(head.threshold) || !finite(head.leaves)) {
    refuse(fmt::format("the forest of `{}` holds a value that is no number", name));
  }
  const std::size_t leaves = head.leaves.size() / width;
  std::vector<char> reached(nodes, 0);
  for (std::size_t tree = 0; tree < head.roots.size(); ++tree) {
    const std::int64_t first = head.roots[tree];
    const std::int64_t end =
        tree + 1 < head.roots.size() ? head.roots[tree + 1] : static_cast<std::int64_t>(nodes);
    if (first < 0 || first >= end || end > static_cast<std::int64_t>(nodes) || (tree == 0 && first != 0)) {
      refuse(fmt::format("tree {} of the forest of `{}` is empty or out of order", tree, name));
    }
    reached[static_cast<std::size_t>(first)] = 1;
    for (auto node = static_cast<std::size_t>(first); node < static_cast<std::size_t>(end); ++node) {
      if (reached[node] != 1) refuse(fmt::format("the forest of `{}` has a node without a parent", name));
      const std::int64_t left = head.left[node];
      const std::int64_t right = head.right[node];
      if (head.feature[node] < 0) {
        if (left < 0 || left >= static_cast<std::int64_t>(leaves)) {
          refuse(fmt::format("the forest of `{}` has a leaf without class shares", name));
        }
        continue;
      }
      if (head.feature[node] >= d) {
        refuse(fmt::format("the forest of `{}` asks for number {} of {}", name, head.feature[node], d));
      }
      for (const std::int64_t child : {left, right}) {
        if (child <= static_cast<std::int64_t>(node) || child >= end) {
          refuse(fmt::format("the forest of `{}` has a branch that leads out of its tree", name));
        }
        if (reached[static_cast<std::size_t>(child)]++ != 0) {
          refuse(fmt::format("the forest of `{}` has a node with two parents", name));
        }
      }
    }
  }
}

void check_unknown(const UnknownDetector& detector, int expected) {
  if (detector.d != expected || detector.d < 1 || detector.q < 1) {
    refuse(fmt::format("the detector of unknown photos is made for {} numbers, the model gives {}",
                       detector.d, expected));
  }
  if ((!detector.mean.empty() && detector.mean.size() != static_cast<std::size_t>(detector.d)) ||
      (detector.whitening.empty() ? detector.q != detector.d
                                  : detector.whitening.size() != product(detector.q, detector.d)) ||
      detector.centres.empty() || detector.centres.size() % static_cast<std::size_t>(detector.q) != 0) {
    refuse("the arrays of the detector of unknown photos have other lengths than it says");
  }
  if (!finite(detector.mean) || !finite(detector.whitening) || !finite(detector.centres) ||
      !(detector.threshold - detector.threshold == 0)) {
    refuse("the detector of unknown photos holds a value that is no number");
  }
}

}  // namespace

void check_model_file(const ModelFile& model) {
  if (!model.backbone.graph || model.backbone.cut.empty() || model.backbone.dimension < 1) {
    refuse("it has no network");
  }
  if (model.targets.empty()) refuse("it has nothing to tell: no target");
  const int d = model.backbone.dimension;
  if (model.pca && model.pca->d() != d) {
    refuse(fmt::format("its PCA takes {} numbers, its network gives {}", model.pca->d(), d));
  }
  const auto input = [&](HeadInput on) {
    if (on == HeadInput::kFeatures) return d;
    if (!model.pca) refuse("a head works on components, but there is no PCA");
    return model.pca->k();
  };
  std::set<std::string> names;
  for (const Target& target : model.targets) {
    const std::string& name = target.name;
    if (name.empty() || !is_utf8(name)) refuse("a target has no name, or one that is not UTF-8");
    if (!names.insert(name).second) refuse(fmt::format("two targets are called `{}`", name));
    const Classifier& classifier = target.classifier;
    const std::set<std::string> labels(classifier.labels.begin(), classifier.labels.end());
    if (labels.size() != classifier.labels.size()) {
      refuse(fmt::format("`{}` has two classes of one name", name));
    }
    if (!std::ranges::all_of(classifier.labels, [](const auto& label) { return is_utf8(label); })) {
      refuse(fmt::format("`{}` has a class whose name is not UTF-8", name));
    }
    if (labels.size() < 2 || labels.size() > kMostClasses) {
      refuse(fmt::format("`{}` has {} classes; at least 2 are needed", name, labels.size()));
    }
    if (classifier.d != input(target.on)) {
      refuse(fmt::format("the head of `{}` takes {} numbers, the model gives it {}", name, classifier.d,
                         input(target.on)));
    }
    std::visit([&](const auto& head) { check_head(head, classifier.classes(), classifier.d, name); },
               classifier.head);
    if (!target.counts.empty() && target.counts.size() != labels.size()) {
      refuse(fmt::format("`{}` has {} classes but counts of {}", name, labels.size(), target.counts.size()));
    }
    if (!(target.confident_threshold >= 0)) refuse(fmt::format("`{}` has no threshold", name));
  }
  if (model.unknown) check_unknown(*model.unknown, input(model.unknown->on));
}

}  // namespace pomona
