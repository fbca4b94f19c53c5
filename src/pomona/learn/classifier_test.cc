// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/classifier.h"

#include <gmock/gmock.h>

#include <cmath>

#include "pomona/base/error.h"
#include "pomona/learn/bytes.h"
#include "pomona/learn/random.h"

namespace pomona {
namespace {

// Clouds of rows about one centre per class, some of them touching.
struct Clouds {
  std::vector<float> x;
  std::vector<std::int32_t> y;
  std::size_t n;
  int d;
  std::vector<std::string> labels;

  Clouds(std::size_t rows, int width, int classes, std::uint64_t seed, double spread = 0.6)
      : n(rows), d(width) {
    Random random(1);
    std::vector<double> centres(static_cast<std::size_t>(classes * width));
    for (double& value : centres) value = 2 * random.uniform();
    Random noise(seed);
    for (std::size_t i = 0; i < n; ++i) {
      const auto c = noise.below(static_cast<std::uint64_t>(classes));
      y.push_back(static_cast<std::int32_t>(i < static_cast<std::size_t>(classes) ? i : c));
      for (std::size_t j = 0; j < static_cast<std::size_t>(d); ++j) {
        double normal = -6;
        for (int k = 0; k < 12; ++k) normal += noise.uniform();
        x.push_back(static_cast<float>(
            centres[static_cast<std::size_t>(y.back()) * static_cast<std::size_t>(d) + j] + spread * normal));
      }
    }
    for (int c = 0; c < classes; ++c) labels.push_back(std::string(1, static_cast<char>('a' + c)));
  }

  TrainingSet set() const { return {x, n, d, y, labels}; }
};

double accuracy(const Classifier& classifier, const Clouds& clouds) {
  const auto classes = static_cast<std::size_t>(classifier.classes());
  std::vector<float> p(clouds.n * classes);
  classifier.probabilities(clouds.x, clouds.n, p);
  std::size_t right = 0;
  for (std::size_t i = 0; i < clouds.n; ++i) {
    const auto row = std::span(p).subspan(i * classes, classes);
    double sum = 0;
    for (const float value : row) sum += static_cast<double>(value);
    EXPECT_NEAR(sum, 1, 1e-5);
    right += std::ranges::max_element(row) - row.begin() == clouds.y[i];
  }
  return static_cast<double>(right) / static_cast<double>(clouds.n);
}

using Trainer = Classifier (*)(const TrainingSet&, const TrainOptions&);

class AnyClassifier : public testing::TestWithParam<Trainer> {
 protected:
  Classifier train(const TrainingSet& set, const TrainOptions& options = {}) const {
    return GetParam()(set, options);
  }
};

INSTANTIATE_TEST_SUITE_P(Trainers, AnyClassifier,
                         testing::Values(Trainer{train_logistic}, Trainer{train_lda}, Trainer{train_forest}));

// What is learnt from chosen rows of a matrix is what is learnt from those rows alone.
TEST_P(AnyClassifier, ChosenRowsAreLearntWhereTheyLie) {
  const Clouds all(400, 12, 3, 2);
  std::vector<std::size_t> rows;
  std::vector<float> x;
  std::vector<std::int32_t> y;
  for (std::size_t row = 0; row < all.n; row += row % 3 + 1) {
    rows.push_back(row);
    y.push_back(all.y[row]);
    x.insert(x.end(), all.x.begin() + static_cast<std::ptrdiff_t>(row * 12),
             all.x.begin() + static_cast<std::ptrdiff_t>(row * 12 + 12));
  }
  const Classifier alone = train({x, rows.size(), 12, y, all.labels});
  const Classifier chosen = train({all.x, rows.size(), 12, y, all.labels, rows});
  EXPECT_EQ(alone.serialize(), chosen.serialize());
  rows.back() = all.n;
  EXPECT_THROW(train({all.x, rows.size(), 12, y, all.labels, rows}), Error);
}

TEST_P(AnyClassifier, LearnsWhatCanBeLearnt) {
  const Clouds train_rows(900, 12, 5, 2);
  const Clouds test_rows(500, 12, 5, 3);
  const Classifier classifier = train(train_rows.set());
  EXPECT_EQ(classifier.labels, train_rows.labels);
  EXPECT_GT(accuracy(classifier, test_rows), 0.85);
  // One cloud seen under shuffled labels cannot be told apart: no more than chance.
  Clouds blind(900, 12, 5, 2);
  Random(9).shuffle(std::span(blind.y));
  EXPECT_LT(accuracy(train(blind.set()), test_rows), 0.5);
}

TEST_P(AnyClassifier, GivesTheSameForAnyNumberOfThreads) {
  const Clouds rows(700, 33, 4, 5);
  const std::string one = train(rows.set(), {.threads = 1, .trees = 20, .seed = 3}).serialize();
  for (const int threads : {2, 5}) {
    EXPECT_EQ(train(rows.set(), {.threads = threads, .trees = 20, .seed = 3}).serialize(), one) << threads;
  }
  const Classifier classifier = Classifier::deserialize(one);
  std::vector<float> all(rows.n * 4), threaded(rows.n * 4), alone(4);
  classifier.probabilities(rows.x, rows.n, all);
  classifier.probabilities(rows.x, rows.n, threaded, 3);
  EXPECT_EQ(all, threaded);
  for (const std::size_t i : {0u, 9u, 699u}) {
    classifier.probabilities(std::span(rows.x).subspan(i * 33, 33), 1, alone);
    EXPECT_TRUE(std::ranges::equal(alone, std::span(all).subspan(i * 4, 4)));
  }
}

TEST_P(AnyClassifier, BalancedHelpsTheRareClass) {
  Clouds rows(2000, 2, 2, 6, 1.0);
  // Nineteen of twenty rows of the second class go.
  std::vector<float> x;
  std::vector<std::int32_t> y;
  for (std::size_t i = 0; i < rows.n; ++i) {
    if (rows.y[i] == 1 && i % 20 != 0) continue;
    y.push_back(rows.y[i]);
    x.insert(x.end(), {rows.x[2 * i], rows.x[2 * i + 1]});
  }
  const TrainingSet set{x, y.size(), 2, y, rows.labels};
  const auto recall = [&](const Classifier& classifier) {
    std::vector<float> p(rows.n * 2);
    classifier.probabilities(rows.x, rows.n, p);
    double found = 0, total = 0;
    for (std::size_t i = 0; i < rows.n; ++i) {
      if (rows.y[i] != 1) continue;
      total += 1;
      found += p[2 * i + 1] > 0.5f;
    }
    return found / total;
  };
  const double plain = recall(train(set));
  const double balanced = recall(train(set, {.balanced = true}));
  if (GetParam() == Trainer{train_forest}) {
    EXPECT_GE(balanced, plain - 0.1);  // leaves of one row leave little for weights to do
  } else {
    EXPECT_GT(balanced, plain + 0.1);
  }
}

TEST_P(AnyClassifier, RefusesWhatCannotBeLearntFrom) {
  const Clouds rows(60, 3, 3, 7);
  TrainingSet set = rows.set();
  set.labels = {"a"};
  EXPECT_THROW(train(set), Error);
  set.labels = {};
  EXPECT_THROW(train(set), Error);
  set.labels = {"a", "b", "c", "nobody"};
  EXPECT_THAT([&] { train(set); }, testing::ThrowsMessage<Error>(testing::HasSubstr("nobody")));
  set.labels = {"a", "b"};
  EXPECT_THROW(train(set), Error);
  auto x = rows.x;
  x[4] = NAN;
  set = rows.set();
  set.x = x;
  EXPECT_THAT([&] { train(set); }, testing::ThrowsMessage<Error>(testing::HasSubstr("Row 1, feature 1")));
  set = rows.set();
  set.n = 59;
  EXPECT_THROW(train(set), Error);
}

TEST_P(AnyClassifier, SurvivesItsFileAndRefusesADamagedOne) {
  const Clouds rows(40, 3, 3, 8);
  const Classifier classifier = train(rows.set(), {.trees = 3});
  const std::string bytes = classifier.serialize();
  EXPECT_EQ(Classifier::deserialize(bytes).serialize(), bytes);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(Classifier::deserialize(bytes.substr(0, length)), Error) << length;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 0x21);
    EXPECT_THROW(Classifier::deserialize(bad), Error) << at;
  }
}

TEST_P(AnyClassifier, CopesWithConstantFeaturesAndFewRows) {
  const std::vector<float> x = {0, 5, 0, 5, 1, 5, 1, 5};
  const std::vector<std::int32_t> y = {0, 0, 1, 1};
  const Classifier classifier = train({x, 4, 2, y, {"a", "b"}}, {.trees = 50});
  std::vector<float> p(8);
  classifier.probabilities(x, 4, p);
  EXPECT_GT(p[0], 0.5f);
  EXPECT_LT(p[6], 0.5f);
}

// A file with a good checksum whose trees would lead a walk astray.
TEST(Classifier, RefusesTreesThatDoNotHangTogether) {
  const auto forest = [](std::int32_t root, std::int32_t feature, std::int32_t left, std::int32_t right,
                         std::int32_t leaf) {
    Classifier c{"forest", 2, {"a", "b"}, {}, {}};
    c.head = ForestHead{{root}, {feature, -1, -1}, {0, 0, 0}, {left, leaf, 1}, {right, 0, 0}, {1, 0, 0, 1}};
    return c.serialize();
  };
  EXPECT_NO_THROW(Classifier::deserialize(forest(0, 1, 1, 2, 0)));
  EXPECT_THROW(Classifier::deserialize(forest(3, 1, 1, 2, 0)), Error);
  EXPECT_THROW(Classifier::deserialize(forest(-1, 1, 1, 2, 0)), Error);
  EXPECT_THROW(Classifier::deserialize(forest(0, 2, 1, 2, 0)), Error);
  EXPECT_THROW(Classifier::deserialize(forest(0, 1, 0, 2, 0)), Error);  // its own child
  EXPECT_THROW(Classifier::deserialize(forest(0, 1, 1, 9, 0)), Error);
  EXPECT_THROW(Classifier::deserialize(forest(0, 1, 1, -7, 0)), Error);
  EXPECT_THROW(Classifier::deserialize(forest(0, 1, 1, 2, 2)), Error);
  EXPECT_THROW(Classifier::deserialize(forest(0, 1, 1, 2, -1)), Error);
}

TEST(Classifier, LdaComesFromMergedMomentsToo) {
  const Clouds rows(600, 8, 3, 10);
  ClassMoments first(8, 3), second(8, 3);
  const std::span<const float> x(rows.x);
  const std::span<const std::int32_t> y(rows.y);
  first.add(x.first(250 * 8), 250, y.first(250));
  second.add(x.subspan(250 * 8), 350, y.subspan(250));
  first.merge(second);
  const Classifier merged = train_lda(first, rows.labels);
  const Classifier whole = train_lda(rows.set());
  for (std::size_t i = 0; i < 24; ++i)
    EXPECT_NEAR(merged.linear()->weights[i], whole.linear()->weights[i], 1e-4);
  EXPECT_THROW(first.merge(ClassMoments(8, 2)), Error);
  EXPECT_THROW(first.add(x.first(8), 1, y.first(2)), Error);
}

TEST(Classifier, ForestChangesWithTheSeed) {
  const Clouds rows(300, 6, 3, 11);
  EXPECT_NE(train_forest(rows.set(), {.trees = 5, .seed = 1}).serialize(),
            train_forest(rows.set(), {.trees = 5, .seed = 2}).serialize());
}

// More rows than are kept packed are taken block by block. Every row twice at half the weight is the same
// problem.
TEST(Logistic, ManyRowsAreTakenInBlocks) {
  const Clouds once(4500, 2000, 2, 5, 3);
  Clouds twice = once;
  twice.n = 2 * once.n;
  twice.x.insert(twice.x.end(), once.x.begin(), once.x.end());
  twice.y.insert(twice.y.end(), once.y.begin(), once.y.end());
  TrainOptions options;
  options.max_iterations = 6;
  const Classifier one_block = train_logistic(once.set(), options);
  options.c /= 2;
  const Classifier blocks = train_logistic(twice.set(), options);
  const auto& expected = one_block.linear()->weights;
  const auto& found = blocks.linear()->weights;
  double most = 0;
  double difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(expected[i])));
    difference =
        std::max(difference, std::abs(static_cast<double>(expected[i]) - static_cast<double>(found[i])));
  }
  EXPECT_LT(difference, 1e-3 * most);
  options.threads = 3;
  EXPECT_EQ(train_logistic(twice.set(), options).serialize(), blocks.serialize());
}

}  // namespace
}  // namespace pomona
