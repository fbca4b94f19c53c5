// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/train.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/base/text.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/row_blocks.h"
#include "pomona/learn/split.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/photo_copies.h"
#include "pomona/pipeline/reduce.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/pipeline/scratch_folder.h"
#include "pomona/pipeline/seen_photos.h"
#include "pomona/pipeline/stage_clock.h"
#include "pomona/samples/augment.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

// Cosine above which two photos are nearly alike.
constexpr double kAlike = 0.98;
// A class this many times as large as another is worth a word.
constexpr double kImbalance = 3;

using Rows = std::vector<std::size_t>;

// Row-major values of some rows: features or components.
struct Matrix {
  std::vector<float> x;
  int d = 0;

  // Calls body(values, first, count) for some of `rows` at a time: the vectors of a large set fill most of
  // the memory, so nothing holds a second copy of them.
  template <typename Body>
  void each_block(const Rows& rows, const Body& body) const {
    if (!rows.empty()) for_row_blocks(x, static_cast<std::size_t>(d), rows, rows.size(), kRowBlock, body);
  }
};

// Which rows are trained on, and which fold each is judged in.
struct Plan {
  Rows training;           // all rows a final head is trained on
  std::vector<int> folds;  // per row of `training`; -1 = in no fold: always trained on
  int count = 1;           // folds that are judged
  std::string name;        // for people
};

class TrainJob {
 public:
  TrainJob(const TrainingOptions& options, const Hooks& hooks, std::stop_token stop)
      : options_(options), hooks_(hooks), stop_(std::move(stop)) {}
  TrainedModel run(LabelledVectors data, const Network& network);

 private:
  void augment();
  void reduce();
  Plan plan(const TargetLabels& target);
  Rows first_copies_of(const Rows& rows) const;
  std::size_t copies_in_test(const Rows& rows) const;
  HeadInput input_of(const std::string& classifier) const;
  const Matrix& matrix(HeadInput on) const;
  Classifier fit(const std::string& kind, const Matrix& x, const TargetLabels& target,
                 const Rows& rows) const;
  std::vector<float> judge(const std::string& kind, const TargetLabels& target, const Plan& plan,
                           Rows& judged) const;
  Target train_target(const TargetLabels& target);
  void warn_about(const TargetLabels& target, const Plan& plan);
  std::optional<UnknownDetector> detector(const TargetLabels& target, const Plan& plan) const;
  nlohmann::json record(const TrainingResult& result) const;
  nlohmann::json seen() const;
  void warn(const std::string& text);

  TrainingOptions options_;
  const Hooks& hooks_;
  std::stop_token stop_;
  int threads_ = 1;
  LabelledVectors data_;
  std::size_t originals_ = 0;  // rows before those that augment() made
  Rows first_copy_;            // of each row: the first with the same bytes; made ones are their own
  std::optional<Network> network_;
  std::optional<Pca> pca_;
  Matrix features_;    // empty for a dataset of components
  Matrix components_;  // empty where no head wants them
  TrainingResult result_;
};

void TrainJob::warn(const std::string& text) {
  result_.warnings.push_back(text);
  if (hooks_.warning) hooks_.warning(text);
}

HeadInput TrainJob::input_of(const std::string& classifier) const {
  if (data_.schema.vector_column == "components") return HeadInput::kComponents;
  // A tree looks at one number at a time: components say more each than features do.
  return options_.on.value_or(classifier == "forest" ? HeadInput::kComponents : HeadInput::kFeatures);
}

const Matrix& TrainJob::matrix(HeadInput on) const {
  return on == HeadInput::kComponents ? components_ : features_;
}

// Adds rows for photos made from the training photos: same labels, same split, same group as their source.
void TrainJob::augment() {
  if (!options_.augment) return;
  if (data_.schema.vector_column == "components") {
    throw Error(ErrorCode::kUsage,
                "--augment needs features, not components: train on the features/ of the results");
  }
  StageClock clock;
  std::vector<AugmentInput> inputs;
  Rows source_rows;
  for (std::size_t row = 0; row < data_.n; ++row) {
    if (data_.splits[row] == "Test" || data_.splits[row] == "Validation") continue;
    inputs.push_back({data_.paths[row], "photo"});
    source_rows.push_back(row);
  }
  const ScratchFolder scratch;
  AugmentOptions augment_options;
  augment_options.backgrounds = parse_augment(*options_.augment);
  augment_options.variants = options_.augment_variants;
  augment_options.seed = options_.seed;
  augment_options.threads = threads_;
  const AugmentResult made =
      augment_photos(inputs, (scratch.path() / "photos").string(), augment_options, hooks_, stop_);
  if (made.photos.empty()) {
    throw Error(ErrorCode::kFormat,
                "--augment found no photo with a white background to cut a fruit off, of " +
                    human_count(inputs.size()) + " photos");
  }
  FeaturizeOptions featurize_options;
  featurize_options.loaded = network_;
  featurize_options.listing.sources = {(scratch.path() / "photos").string()};
  featurize_options.dest = (scratch.path() / "features").string();
  featurize_options.labels = "none";
  featurize_options.moments = false;
  featurize_options.threads = threads_;
  featurize(featurize_options, hooks_, stop_);

  std::map<std::string, std::size_t> sources;
  for (const AugmentedPhoto& photo : made.photos) {
    sources[std::filesystem::absolute(photo.path).lexically_normal().string()] = source_rows.at(photo.source);
  }
  if (data_.groups.empty()) {
    data_.groups.resize(data_.n);
    std::iota(data_.groups.begin(), data_.groups.end(), 0);
  }
  DatasetReader::open(Store::open(featurize_options.dest)).read(true, [&](Block&& block) {
    data_.x.insert(data_.x.end(), block.vectors.begin(), block.vectors.end());
    for (const RowInfo& info : block.rows) {
      const std::size_t row = sources.at(info.path);
      data_.paths.push_back(data_.paths[row]);
      data_.splits.push_back(data_.splits[row]);
      data_.groups.push_back(data_.groups[row]);
      for (TargetLabels& target : data_.targets) target.y.push_back(target.y[row]);
      ++data_.n;
    }
    return true;
  });
  result_.augmented = data_.n - originals_;
  clock.lap(result_.stages["augment"]);
}

void TrainJob::reduce() {
  if (data_.schema.vector_column == "components") {
    components_ = {std::move(data_.x), data_.d};
    pca_ = pca_of_run(data_.run, data_.source);
    return;
  }
  features_ = {std::move(data_.x), data_.d};
  const bool wanted = options_.select || input_of(options_.classifier) == HeadInput::kComponents ||
                      std::ranges::any_of(options_.classifiers, [&](const auto& one) {
                        return input_of(one.second) == HeadInput::kComponents;
                      });
  if (!wanted) return;
  StageClock clock;
  Rows training;
  for (std::size_t row = 0; row < data_.n; ++row) {
    if (data_.splits[row] != "Test") training.push_back(row);
  }
  Moments moments(data_.d);
  features_.each_block(training, [&](std::span<const float> x, std::size_t, std::size_t count) {
    moments.add(x, count, threads_);
  });
  PcaOptions pca = options_.pca;
  pca.threads = threads_;
  if (pca.k) pca.k = std::min<int>(*pca.k, std::min(data_.d, static_cast<int>(training.size())));
  pca_ = Pca::fit(moments, pca);
  pca_->record = {{"fingerprint", data_.run["fingerprint"]}, {"rows", training.size()}};
  components_.d = pca_->k();
  components_.x.resize(data_.n * static_cast<std::size_t>(components_.d));
  pca_->transform(features_.x, data_.n, components_.x, threads_);
  clock.lap(result_.stages["pca"]);
}

Rows TrainJob::first_copies_of(const Rows& rows) const {
  Rows first;
  for (const std::size_t row : rows) first.push_back(first_copy_[row]);
  return first;
}

// Photos of the Test split that are copies of some of `rows`.
std::size_t TrainJob::copies_in_test(const Rows& rows) const {
  std::vector<bool> trained_on(originals_);
  for (const std::size_t row : rows) {
    if (row < originals_) trained_on[first_copy_[row]] = true;
  }
  std::size_t count = 0;
  for (std::size_t row = 0; row < originals_; ++row)
    count += data_.splits[row] == "Test" && trained_on[first_copy_[row]];
  return count;
}

Plan TrainJob::plan(const TargetLabels& target) {
  Plan plan;
  std::vector<int> classes;
  std::vector<std::int64_t> groups;
  bool validation_split = false;
  for (std::size_t row = 0; row < data_.n; ++row) {
    if (target.y[row] < 0 || data_.splits[row] == "Test") continue;
    plan.training.push_back(row);
    classes.push_back(target.y[row]);
    if (!data_.groups.empty()) groups.push_back(data_.groups[row]);
    validation_split = validation_split || data_.splits[row] == "Validation";
  }
  std::vector<std::uint64_t> counts(target.labels.size());
  for (const int c : classes) ++counts[static_cast<std::size_t>(c)];
  if (plan.training.empty()) {
    throw Error(ErrorCode::kUsage, "no photo of " + data_.source +
                                       " is left to train on: all that have a label are of the Test split");
  }
  if (std::ranges::count_if(counts, [](std::uint64_t n) { return n > 0; }) < 2) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("all {} training photos of {} are of one class ('{}'); a classifier needs two or more. "
                    "Labels come from the folders the photos lie in, or from --labels TABLE.",
                    human_count(plan.training.size()), data_.source,
                    target.labels.empty() ? "" : target.labels.front()));
  }
  // Whether every fold leaves two classes or more to learn.
  const auto sound = [&](const std::vector<int>& folds, int count) {
    for (int fold = 0; fold < count; ++fold) {
      std::set<int> learned;
      for (std::size_t i = 0; i < folds.size(); ++i) {
        if (folds[i] != fold) learned.insert(classes[i]);
      }
      if (learned.size() < 2) return false;
    }
    return std::ranges::any_of(folds, [](int fold) { return fold >= 0; });
  };
  const auto split = [&](const auto& deal, int count) {
    plan.folds = deal(groups);
    const Rows first = first_copies_of(plan.training);
    if (copies_apart(first, plan.folds) == 0) return;
    // Copies of a photo that is trained on say nothing about others.
    const std::vector<std::int64_t> together = groups_with_copies(first, groups);
    if (static_cast<int>(std::set(together.begin(), together.end()).size()) < std::max(count, 2)) return;
    if (std::vector<int> folds = deal(together); sound(folds, count)) plan.folds = std::move(folds);
  };
  if (options_.folds > 1) {
    split([&](const auto& by) { return assign_folds(classes, by, options_.folds, options_.seed); },
          options_.folds);
    plan.count = options_.folds;
    plan.name = std::to_string(options_.folds) + " folds";
  } else if (validation_split) {
    for (const std::size_t row : plan.training)
      plan.folds.push_back(data_.splits[row] == "Validation" ? 0 : -1);
    plan.name = "the Validation split";
  } else {
    split(
        [&](const auto& by) {
          std::vector<int> folds;
          for (const bool is_held : hold_out(classes, by, options_.validation, options_.seed))
            folds.push_back(is_held ? 0 : -1);
          return folds;
        },
        1);
    plan.name = fmt::format("{:.0f} % held back", 100 * options_.validation);
  }
  return plan;
}

Classifier TrainJob::fit(const std::string& kind, const Matrix& x, const TargetLabels& target,
                         const Rows& rows) const {
  if (stop_.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped before a model was written");
  TrainOptions options;
  options.balanced = options_.balanced;
  options.threads = threads_;
  options.c = options_.c;
  options.trees = options_.trees;
  options.seed = options_.seed;
  // A class may have no photo on this side of the split: the head then knows the others, and gives it
  // nothing.
  std::vector<int> renumbered(target.labels.size(), -1);
  TrainingSet set;
  std::vector<std::int32_t> y;
  for (const std::size_t row : rows) renumbered[static_cast<std::size_t>(target.y[row])] = 0;
  for (std::size_t c = 0; c < renumbered.size(); ++c) {
    if (renumbered[c] < 0) continue;
    renumbered[c] = static_cast<int>(set.labels.size());
    set.labels.push_back(target.labels[c]);
  }
  for (const std::size_t row : rows) y.push_back(renumbered[static_cast<std::size_t>(target.y[row])]);
  set.x = x.x;
  set.n = rows.size();
  set.d = x.d;
  set.y = y;
  set.rows = rows;
  // Rows ascend: where they are the first ones, they need not be gathered.
  if (!rows.empty() && rows.back() + 1 == rows.size()) {
    set.x = set.x.first(rows.size() * static_cast<std::size_t>(x.d));
    set.rows = {};
  }
  if (kind == "logistic") return train_logistic(set, options);
  if (kind == "lda") return train_lda(set, options);
  if (kind == "forest") return train_forest(set, options);
  throw Error(ErrorCode::kUsage, "there is no classifier '" + kind + "'. There are: logistic, lda, forest");
}

// Probabilities (judged rows x all classes) of photos each head had not seen. Made photos train but do not
// judge.
std::vector<float> TrainJob::judge(const std::string& kind, const TargetLabels& target, const Plan& plan,
                                   Rows& judged) const {
  const Matrix& x = matrix(input_of(kind));
  const std::size_t classes = target.labels.size();
  std::vector<float> probabilities;
  judged.clear();
  for (int fold = 0; fold < plan.count; ++fold) {
    Rows training;
    Rows held;
    for (std::size_t i = 0; i < plan.training.size(); ++i) {
      if (plan.folds[i] != fold) {
        training.push_back(plan.training[i]);
      } else if (plan.training[i] < originals_) {
        held.push_back(plan.training[i]);
      }
    }
    if (held.empty()) continue;
    const Classifier head = fit(kind, x, target, training);
    const std::size_t told = head.labels.size();
    std::vector<float> p(held.size() * told);
    x.each_block(held, [&](std::span<const float> block, std::size_t first, std::size_t count) {
      head.probabilities(block, count, std::span(p).subspan(first * told, count * told), threads_);
    });
    const std::size_t offset = probabilities.size();
    probabilities.resize(offset + held.size() * classes);
    for (std::size_t c = 0; c < head.labels.size(); ++c) {
      const auto column = static_cast<std::size_t>(std::ranges::lower_bound(target.labels, head.labels[c]) -
                                                   target.labels.begin());
      for (std::size_t i = 0; i < held.size(); ++i) {
        probabilities[offset + i * classes + column] = p[i * head.labels.size() + c];
      }
    }
    judged.insert(judged.end(), held.begin(), held.end());
  }
  if (judged.empty()) {
    throw Error(ErrorCode::kUsage, "no photo is left to judge by: there are too few for the split asked for");
  }
  return probabilities;
}

void TrainJob::warn_about(const TargetLabels& target, const Plan& plan) {
  std::vector<std::uint64_t> counts(target.labels.size());
  for (const std::size_t row : plan.training) {
    if (row < originals_) ++counts[static_cast<std::size_t>(target.y[row])];
  }
  std::size_t least = counts.size();
  std::size_t most = 0;
  std::vector<std::string> single;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) continue;
    if (least == counts.size() || counts[c] < counts[least]) least = c;
    if (counts[c] > counts[most]) most = c;
    if (counts[c] == 1) single.push_back(target.labels[c]);
  }
  std::map<std::string, std::string> spellings;
  std::vector<std::string> spelled_alike;
  for (const std::string& label : target.labels) {
    const auto [at, fresh] = spellings.try_emplace(lower_case(label), label);
    if (!fresh) spelled_alike.push_back(at->second + " / " + label);
  }
  if (!spelled_alike.empty()) warn("classes that differ by capitals only: " + name_some(spelled_alike));
  if (!single.empty()) {
    warn(fmt::format("one training photo each of {}: nothing can say how well {} told", name_some(single),
                     single.size() == 1 ? "it is" : "they are"));
  }
  if (!options_.balanced &&
      static_cast<double>(counts[most]) > kImbalance * static_cast<double>(counts[least])) {
    warn(fmt::format(
        "classes are uneven: '{}' has {} training photos, '{}' {}. --class-weight balanced makes them "
        "weigh the same.",
        target.labels[most], counts[most], target.labels[least], counts[least]));
  }
  if (const std::size_t copies = copies_apart(first_copies_of(plan.training), plan.folds); copies > 0) {
    warn(
        fmt::format("{} photos that '{}' is judged by are trained on too, as copies that are the same to the "
                    "byte: the validation figures are too good",
                    human_count(copies), target.name));
  }
  if (const std::size_t copies = copies_in_test(plan.training); copies > 0) {
    warn(fmt::format(
        "{} photos of the Test split are trained on too, as copies that are the same to the byte: "
        "what the model makes of the Test split will look too good",
        human_count(copies)));
  }
  if (options_.data.groups || data_.schema.vector_column == "components") return;
  if (const double alike = alike_neighbours(features_.x, features_.d, originals_, target); alike > 0.5) {
    warn(fmt::format(
        "{:.0f} % of the photos are nearly the same as their neighbour: frames of one fruit stand on both "
        "sides of the split, so the validation figures are too good. --groups COLUMN|REGEX keeps them "
        "together.",
        100 * alike));
  }
}

Target TrainJob::train_target(const TargetLabels& target) {
  const Plan plan = this->plan(target);
  result_.validated_by = plan.name;
  result_.trained_on = std::max<std::uint64_t>(
      result_.trained_on, static_cast<std::uint64_t>(std::ranges::count_if(
                              plan.training, [&](std::size_t row) { return row < originals_; })));
  warn_about(target, plan);

  const auto own = options_.classifiers.find(target.name);
  std::vector<std::string> kinds = {own == options_.classifiers.end() ? options_.classifier : own->second};
  if (options_.select) kinds = {"logistic", "lda", "forest"};
  HeadReport report;
  report.target = target.name;
  const std::size_t first = result_.candidates.size();
  std::size_t best = 0;
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    StageClock clock;
    Rows judged;
    const std::vector<float> p = judge(kinds[k], target, plan, judged);
    std::vector<int> truth;
    for (const std::size_t row : judged) truth.push_back(target.y[row]);
    Candidate candidate{target.name, kinds[k], input_of(kinds[k]), measure(truth, p, target.labels),
                        0,           false};
    clock.lap(candidate.seconds);
    const Metrics& metrics = candidate.metrics;
    const bool better = k == 0 || metrics.accuracy.value > report.validation.accuracy.value ||
                        (metrics.accuracy.value == report.validation.accuracy.value &&
                         metrics.log_loss < report.validation.log_loss);
    if (better) {
      best = k;
      report.classifier = kinds[k];
      report.on = candidate.on;
      report.validation = metrics;
      report.confident =
          calibrate_confident(truth, p, static_cast<int>(target.labels.size()), options_.target_precision);
    }
    result_.candidates.push_back(std::move(candidate));
  }
  result_.candidates[first + best].chosen = true;

  StageClock clock;
  Target trained;
  trained.name = target.name;
  trained.on = report.on;
  trained.classifier = fit(report.classifier, matrix(report.on), target, plan.training);
  clock.lap(report.seconds);
  if (!trained.classifier.record.value("converged", true)) {
    warn(
        fmt::format("'{}': logistic regression was stopped after {} iterations, before it had settled. A "
                    "smaller --c settles sooner; --classifier lda needs none",
                    target.name, trained.classifier.record.at("iterations").get<int>()));
  }
  trained.confident_threshold = report.confident.threshold;
  trained.target_precision = options_.target_precision;
  trained.counts.assign(trained.classifier.labels.size(), 0);
  for (const std::size_t row : plan.training) {
    if (row >= originals_) continue;
    const auto at = std::ranges::lower_bound(trained.classifier.labels,
                                             target.labels[static_cast<std::size_t>(target.y[row])]);
    ++trained.counts[static_cast<std::size_t>(at - trained.classifier.labels.begin())];
  }
  report.counts = trained.counts;
  result_.stages["train"] += report.seconds;
  result_.heads.push_back(std::move(report));
  return trained;
}

// Class directions of the training photos; the threshold is set on photos they were not made from.
std::optional<UnknownDetector> TrainJob::detector(const TargetLabels& target, const Plan& plan) const {
  const HeadInput on = features_.x.empty() ? HeadInput::kComponents : HeadInput::kFeatures;
  const Matrix& x = matrix(on);
  Rows known;
  Rows held;
  for (std::size_t i = 0; i < plan.training.size(); ++i) {
    (plan.folds[i] == 0 ? held : known).push_back(plan.training[i]);
  }
  const auto directions = [&](const Rows& rows) {
    std::vector<int> classes;
    for (const std::size_t row : rows) classes.push_back(target.y[row]);
    ClassDirections found(x.d, static_cast<int>(target.labels.size()));
    x.each_block(rows, [&](std::span<const float> block, std::size_t first, std::size_t count) {
      found.add(block, std::span(classes).subspan(first, count));
    });
    return found.directions();
  };
  std::vector<float> distances;
  const std::vector<float> known_directions = directions(known);
  x.each_block(held, [&](std::span<const float> block, std::size_t, std::size_t count) {
    const std::vector<float> some = nearest_distances(block, count, x.d, known_directions);
    distances.insert(distances.end(), some.begin(), some.end());
  });
  if (distances.empty()) return std::nullopt;
  UnknownDetector detector;
  detector.on = on;
  detector.normalize = true;
  detector.d = x.d;
  detector.q = x.d;
  detector.threshold = quantile(distances, 1 - options_.unknown_share);
  detector.accepted = static_cast<double>(std::ranges::count_if(
                          distances, [&](float v) { return v <= detector.threshold; })) /
                      static_cast<double>(distances.size());
  // A class without a photo has no direction.
  const std::vector<float> all = directions(plan.training);
  const auto width = static_cast<std::size_t>(x.d);
  for (std::size_t c = 0; c < target.labels.size(); ++c) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(c * width);
    const auto end = begin + static_cast<std::ptrdiff_t>(width);
    if (std::any_of(begin, end, [](float v) { return v != 0; }))
      detector.centres.insert(detector.centres.end(), begin, end);
  }
  return detector;
}

nlohmann::json TrainJob::record(const TrainingResult& result) const {
  nlohmann::json heads = nlohmann::json::array();
  for (const HeadReport& head : result.heads) {
    heads.push_back({{"target", head.target},
                     {"classifier", head.classifier},
                     {"on", head.on == HeadInput::kComponents ? "components" : "features"},
                     {"accuracy", head.validation.accuracy.value},
                     {"accuracy_low", head.validation.accuracy.low},
                     {"accuracy_high", head.validation.accuracy.high},
                     {"log_loss", head.validation.log_loss},
                     {"confident_threshold", head.confident.threshold},
                     {"confident_precision", head.confident.precision},
                     {"confident_coverage", head.confident.coverage}});
  }
  return {{"finished", utc_now()},
          {"machine", machine_record()},
          {"source", data_.source},
          {"photos", result.trained_on},
          {"augmented", result.augmented},
          {"augment", options_.augment.value_or("")},
          {"held_for_test", result.held_for_test},
          {"unlabelled", result.unlabelled},
          {"validated_by", result.validated_by},
          {"seed", options_.seed},
          {"class_weight", options_.balanced ? "balanced" : "none"},
          {"c", options_.c},
          {"trees", options_.trees},
          {"heads", heads},
          {"warnings", result.warnings},
          {"invocation", options_.invocation}};
}

// Photos that a final head was trained on, for a later comparison to know them.
nlohmann::json TrainJob::seen() const {
  std::vector<ContentHash> hashes;
  for (std::size_t row = 0; row < originals_; ++row) {
    if (data_.labelled(row) && data_.splits[row] != "Test") hashes.push_back(data_.hashes[row]);
  }
  return SeenPhotos::of(hashes).to_json();
}

TrainedModel TrainJob::run(LabelledVectors data, const Network& network) {
  threads_ = options_.threads > 0 ? options_.threads : cpu_budget();
  data_ = std::move(data);
  network_ = network;
  originals_ = data_.n;
  first_copy_ = first_copies(data_.hashes);
  augment();
  for (std::size_t row = originals_; row < data_.n; ++row) first_copy_.push_back(row);
  reduce();
  for (std::size_t row = 0; row < originals_; ++row) {
    const bool labelled = data_.labelled(row);
    result_.unlabelled += !labelled;
    result_.held_for_test += labelled && data_.splits[row] == "Test";
  }

  ModelFile model;
  model.name = std::filesystem::path(options_.output).stem().string();
  for (const TargetLabels& target : data_.targets) model.targets.push_back(train_target(target));
  model.unknown = detector(data_.targets.front(), plan(data_.targets.front()));
  const bool needs_pca =
      std::ranges::any_of(model.targets, [](const Target& t) { return t.on == HeadInput::kComponents; }) ||
      (model.unknown && model.unknown->on == HeadInput::kComponents);
  if (needs_pca) model.pca = pca_;
  model.training = record(result_);
  model.training["seen"] = seen();
  return {std::move(model), std::move(result_)};
}

}  // namespace

double alike_neighbours(std::span<const float> x, int dimension, std::size_t rows,
                        const TargetLabels& target) {
  const auto d = static_cast<std::size_t>(dimension);
  std::uint64_t pairs = 0;
  std::uint64_t alike = 0;
  for (std::size_t i = 1; i < rows; ++i) {
    if (target.y[i] < 0 || target.y[i] != target.y[i - 1]) continue;
    double dot = 0;
    double a = 0;
    double b = 0;
    for (std::size_t j = 0; j < d; ++j) {
      const double u = x[(i - 1) * d + j];
      const double v = x[i * d + j];
      dot += u * v, a += u * u, b += v * v;
    }
    ++pairs;
    if (dot > kAlike * std::sqrt(a * b)) ++alike;
  }
  return pairs == 0 ? 0 : static_cast<double>(alike) / static_cast<double>(pairs);
}

TrainedModel train_model(const TrainingOptions& options, LabelledVectors data, const Network& network,
                         const Hooks& hooks, std::stop_token stop) {
  return TrainJob(options, hooks, std::move(stop)).run(std::move(data), network);
}

void publish_model(const ModelFile& model, const std::string& output, const LabelledVectors& data) {
  const std::string bytes = serialize_model_file(model);
  const bool remote = is_remote_uri(output);
  const std::string name = remote ? output : std::filesystem::absolute(output).lexically_normal().string();
  record_contributions(data, "model", name, sha256_hex(bytes));
  if (remote) {
    const FilePlace place = file_place(output);
    Store::open(place.folder).write(place.name, bytes);
  } else {
    write_file_atomically(output, bytes);
  }
}

TrainingResult train(const TrainingOptions& options, const Hooks& hooks, std::stop_token stop) {
  StageClock clock;
  double load_seconds = 0;
  const bool local = !is_remote_uri(options.output);
  if (!options.overwrite && local && std::filesystem::exists(options.output)) {
    throw Error(ErrorCode::kExists, options.output + " is there already. --overwrite replaces it.");
  }
  LabelledVectors data = load_labelled_vectors(options.data, hooks, stop);
  const bool described = data.run.is_object() && data.run.contains("fingerprint") &&
                         (options.loaded || data.run.contains("network"));
  if (!described) {
    // Components carry the record of their features' network.
    throw Error(ErrorCode::kFormat, data.source +
                                        " does not say which network made it, so no model file can be made. "
                                        "Train on features that `pomona featurize` or `run` wrote.");
  }
  const auto open_network = [&] {
    if (options.loaded) return *options.loaded;
    NetworkOptions network_options = network_of_run(data.run, options.data.network_asked);
    network_options.streams = options.threads > 0 ? options.threads : cpu_budget();
    try {
      return Network::load(network_options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) throw;
      throw Error(error.code(), std::string(error.what()) + ". " + data.source +
                                    " was made with it: --model names where it is now.");
    }
  };
  const Network network = open_network();
  require_same(network.fingerprint(), network.file().string(), fingerprint_from_json(data.run["fingerprint"]),
               data.source, false);
  Backbone backbone = Backbone::of(network);
  clock.lap(load_seconds);
  LabelledVectors sources;  // what is left to say of them when the vectors are gone
  sources.contributions = data.contributions;
  TrainedModel trained = train_model(options, std::move(data), network, hooks, std::move(stop));
  trained.model.backbone = std::move(backbone);
  trained.result.stages["load"] = load_seconds;
  trained.result.path = options.output;
  StageClock write_clock;
  if (options.before_writing) options.before_writing();
  publish_model(trained.model, options.output, sources);
  write_clock.lap(trained.result.stages["write"]);
  return std::move(trained.result);
}

}  // namespace pomona
