// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/learn/bytes.h"
#include "pomona/learn/dense.h"
#include "pomona/learn/parallel.h"
#include "pomona/learn/softmax.h"

namespace pomona {
namespace {

constexpr std::string_view kMagic = "POMOHEAD";
constexpr std::uint32_t kVersion = 1;

std::vector<float> linear_probabilities(const LinearHead& head, std::span<const float> x, std::size_t rows,
                                        std::size_t d, int threads) {
  const std::size_t classes = head.bias.size();
  const dense::Packed weights(dense::View::of(head.weights, classes, d).transposed());
  std::vector<float> out(rows * classes);
  dense::multiply(dense::View::of(x, rows, d), weights, std::span(out), threads);
  for (std::size_t r = 0; r < rows; ++r) {
    const auto row = std::span(out).subspan(r * classes, classes);
    for (std::size_t c = 0; c < classes; ++c) row[c] += head.bias[c];
    softmax(row);
  }
  return out;
}

void forest_probabilities(const ForestHead& head, std::span<const float> x, std::size_t rows, std::size_t d,
                          std::size_t classes, std::span<float> out, int threads) {
  run_ranges(rows, threads, [&](std::size_t begin, std::size_t end) {
    std::vector<double> sum(classes);
    for (std::size_t r = begin; r < end; ++r) {
      const float* row = x.data() + r * d;
      std::ranges::fill(sum, 0.0);
      for (const std::int32_t root : head.roots) {
        auto node = static_cast<std::size_t>(root);
        while (head.feature[node] >= 0) {
          const bool left = row[head.feature[node]] <= head.threshold[node];
          node = static_cast<std::size_t>(left ? head.left[node] : head.right[node]);
        }
        const float* leaf = head.leaves.data() + static_cast<std::size_t>(head.left[node]) * classes;
        for (std::size_t c = 0; c < classes; ++c) sum[c] += static_cast<double>(leaf[c]);
      }
      for (std::size_t c = 0; c < classes; ++c) {
        out[r * classes + c] = static_cast<float>(sum[c] / static_cast<double>(head.roots.size()));
      }
    }
  });
}

// True where every walk from a root ends in a leaf that exists.
bool is_sound(const ForestHead& head, int d, std::size_t classes) {
  const std::size_t nodes = head.feature.size();
  const std::size_t leaves = head.leaves.size() / classes;
  if (head.roots.empty() || head.threshold.size() != nodes || head.left.size() != nodes ||
      head.right.size() != nodes || head.leaves.size() != leaves * classes) {
    return false;
  }
  const auto is_node = [nodes](std::int32_t at) { return at >= 0 && static_cast<std::size_t>(at) < nodes; };
  for (const std::int32_t root : head.roots) {
    if (!is_node(root)) return false;
  }
  for (std::size_t node = 0; node < nodes; ++node) {
    if (head.feature[node] < 0) {
      if (head.left[node] < 0 || static_cast<std::size_t>(head.left[node]) >= leaves) return false;
    } else {
      // Children come later, so that a walk ends.
      const auto at = static_cast<std::int64_t>(node);
      if (head.feature[node] >= d || !is_node(head.left[node]) || !is_node(head.right[node]) ||
          head.left[node] <= at || head.right[node] <= at) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

void Classifier::probabilities(std::span<const float> x, std::size_t rows, std::span<float> out,
                               int threads) const {
  const auto width = static_cast<std::size_t>(d);
  if (x.size() != rows * width || out.size() != rows * labels.size()) {
    throw Error(
        ErrorCode::kMismatch,
        fmt::format("A classifier from {} features to {} classes was given {} values for {} rows, and room "
                    "for {}.",
                    d, labels.size(), x.size(), rows, out.size()));
  }
  if (linear() != nullptr) {
    std::ranges::copy(linear_probabilities(*linear(), x, rows, width, threads), out.begin());
  } else {
    forest_probabilities(*forest(), x, rows, width, labels.size(), out, threads);
  }
}

std::string Classifier::serialize() const {
  nlohmann::json header = {{"kind", kind}, {"d", d}, {"labels", labels}, {"record", record}};
  if (forest() != nullptr) {
    header["trees"] = forest()->roots.size();
    header["nodes"] = forest()->feature.size();
    header["leaves"] = forest()->leaves.size() / labels.size();
  }
  ByteWriter out(kMagic, kVersion);
  out.text(header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (linear() != nullptr) {
    out.array<float>(linear()->weights);
    out.array<float>(linear()->bias);
  } else {
    out.array<std::int32_t>(forest()->roots);
    out.array<std::int32_t>(forest()->feature);
    out.array<float>(forest()->threshold);
    out.array<std::int32_t>(forest()->left);
    out.array<std::int32_t>(forest()->right);
    out.array<float>(forest()->leaves);
  }
  return out.finish();
}

Classifier Classifier::deserialize(std::string_view bytes) {
  ByteReader in(bytes, kMagic, kVersion, "classifier");
  const auto header = parse_json(in.text());
  const auto number = [&](const char* name) {
    const auto found = header.find(name);
    if (found == header.end() || !found->is_number_integer())
      in.fail(fmt::format("no {} in its header", name));
    const auto value = found->get<std::int64_t>();
    if (value < 1 || value > (1 << 28)) in.fail(fmt::format("{} {} in its header", name, value));
    return static_cast<std::uint64_t>(value);
  };
  if (!header.is_object()) in.fail("no header");
  Classifier out;
  const std::uint64_t d = number("d");
  out.d = static_cast<int>(d);
  const auto labels = header.find("labels");
  if (labels == header.end() || !labels->is_array() || labels->size() < 2) in.fail("no labels in its header");
  for (const auto& label : *labels) {
    if (!label.is_string()) in.fail("a label that is no text");
    out.labels.push_back(label.get<std::string>());
  }
  const auto kind = header.find("kind");
  if (kind == header.end() || !kind->is_string()) in.fail("no kind in its header");
  out.kind = kind->get<std::string>();
  if (header.contains("record")) out.record = header["record"];
  const std::uint64_t classes = out.labels.size();
  if (out.kind == "forest") {
    ForestHead forest;
    const std::uint64_t nodes = number("nodes");
    forest.roots = in.array<std::int32_t>(number("trees"));
    forest.feature = in.array<std::int32_t>(nodes);
    forest.threshold = in.array<float>(nodes);
    forest.left = in.array<std::int32_t>(nodes);
    forest.right = in.array<std::int32_t>(nodes);
    forest.leaves = in.array<float>(number("leaves") * classes);
    if (!is_sound(forest, out.d, classes)) in.fail("trees that do not hang together");
    out.head = std::move(forest);
  } else if (out.kind == "logistic" || out.kind == "lda") {
    LinearHead linear;
    linear.weights = in.array<float>(d * classes);
    linear.bias = in.array<float>(classes);
    out.head = std::move(linear);
  } else {
    in.fail(fmt::format("the unknown kind \"{}\"", out.kind));
  }
  in.finish();
  return out;
}

void check_training_set(const TrainingSet& set) {
  const std::size_t classes = set.labels.size();
  if (classes < 2) {
    throw Error(ErrorCode::kUsage,
                classes == 0 ? "There are no labels to train on."
                             : fmt::format("All rows have the label \"{}\"; a classifier needs at least two.",
                                           set.labels.front()));
  }
  const auto d = static_cast<std::size_t>(std::max(set.d, 1));
  const bool fits =
      set.rows.empty()
          ? set.x.size() == set.n * d
          : set.x.size() % d == 0 && set.rows.size() == set.n &&
                std::ranges::all_of(set.rows, [&](std::size_t row) { return row < set.x.size() / d; });
  if (set.d < 1 || !fits || set.y.size() != set.n) {
    throw Error(ErrorCode::kMismatch,
                fmt::format("Training on {} rows of {} features was given {} values and {} "
                            "labels.",
                            set.n, set.d, set.x.size(), set.y.size()));
  }
  std::vector<std::size_t> counts(classes);
  for (std::size_t i = 0; i < set.n; ++i) {
    const std::int32_t label = set.y[i];
    if (label < 0 || static_cast<std::size_t>(label) >= classes) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("Row {} has class number {}; there are {} classes.", i, label, classes));
    }
    ++counts[static_cast<std::size_t>(label)];
  }
  for (std::size_t c = 0; c < classes; ++c) {
    if (counts[c] == 0) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("No row has the label \"{}\": leave it out.", set.labels[c]));
    }
  }
  for (std::size_t i = 0; i < set.n; ++i) {
    const auto row = set.x.subspan((set.rows.empty() ? i : set.rows[i]) * d, d);
    const auto bad = std::ranges::find_if_not(row, [](float value) { return std::isfinite(value); });
    if (bad != row.end()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("Row {}, feature {} is not a number (NaN or infinite).", i, bad - row.begin()));
    }
  }
}

}  // namespace pomona
