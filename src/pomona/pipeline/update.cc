// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/update.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/text.h"
#include "pomona/learn/split.h"
#include "pomona/modelfile/predictor.h"
#include "pomona/pipeline/predict.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/pipeline/seen_photos.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

constexpr const char* kRule =
    "replaced if, for every target, the new model gets no fewer photos right than the old one, among "
    "held-out "
    "photos of classes both know that neither was trained on; and, on those that the old one was trained on, "
    "does not fall below the 95 % interval of its validation";

using Rows = std::vector<std::size_t>;

// Whether the old model was trained on a photo.
enum class Seen : std::uint8_t { kNo, kYes, kUnsure };

// A photo that is held out: its vector is kept, the rows it came from go into training.
struct HeldOut {
  Rows rows;
  std::vector<Seen> seen;
  std::vector<float> x;               // rows.size() x d
  std::vector<TargetLabels> targets;  // y of these rows only
};

nlohmann::json field(const nlohmann::json& object, const char* name) {
  const auto at = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && at != object.end() ? *at : nlohmann::json();
}

// Two-sided exact test of McNemar (1947): of b + c photos on which just one of the two is right.
double mcnemar(std::uint64_t b, std::uint64_t c) {
  const auto n = static_cast<double>(b + c);
  double tail = 0;
  for (std::uint64_t i = 0; i <= std::min(b, c); ++i) {
    const auto k = static_cast<double>(i);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) - n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

class UpdateJob {
 public:
  UpdateJob(const UpdateOptions& options, const Hooks& hooks, std::stop_token stop)
      : options_(options), training_(options.training), hooks_(hooks), stop_(std::move(stop)) {}
  UpdateResult run();

 private:
  void open_old();
  void inherit();
  LabelledVectors load();
  void check_targets(const LabelledVectors& data) const;
  HeldOut hold_out_photos(LabelledVectors& data) const;
  void check_classes(const LabelledVectors& data) const;
  HeadComparison compare(std::size_t old_target, const Target& fresh, std::size_t new_target,
                         const HeldOut& held, const std::vector<Prediction>& old_answers,
                         const std::vector<Prediction>& new_answers) const;
  double validation_floor(const std::string& target) const;
  nlohmann::json entry() const;
  void remember(const nlohmann::json& line) const;
  void warn(const std::string& text) {
    result_.trained.warnings.push_back(text);
    if (hooks_.warning) hooks_.warning(text);
  }

  const UpdateOptions& options_;
  TrainingOptions training_;
  const Hooks& hooks_;
  std::stop_token stop_;
  std::optional<Predictor> old_;
  std::optional<Network> network_;
  UpdateResult result_;
};

void UpdateJob::open_old() {
  old_.emplace(load_model(options_.model));
  const ModelFile& model = old_->model();
  NetworkOptions network;
  network.model = options_.model;
  network.streams = training_.threads > 0 ? training_.threads : cpu_budget();
  network.precision = precision_like(model.backbone.fingerprint.precision);
  network_ = load_network(model, network);
}

// What was not asked for is as it was when the old model was trained.
void UpdateJob::inherit() {
  const ModelFile& model = old_->model();
  const auto own = [&](const char* name) { return options_.own.contains(name); };
  if (!own("classifier") && !training_.select) {
    training_.classifier = model.targets.front().classifier.kind;
    for (const Target& target : model.targets) training_.classifiers[target.name] = target.classifier.kind;
  }
  if (!own("on")) training_.on = model.targets.front().on;
  if (!own("components") && model.pca) training_.pca.k = model.pca->k();
  if (!own("target-precision") && model.targets.front().target_precision > 0)
    training_.target_precision = model.targets.front().target_precision;
  if (const auto v = field(model.training, "seed"); !own("seed") && v.is_number_unsigned())
    training_.seed = v.get<std::uint64_t>();
  if (const auto v = field(model.training, "c"); !own("c") && v.is_number() && v.get<double>() > 0)
    training_.c = v.get<double>();
  if (const auto v = field(model.training, "trees");
      !own("trees") && v.is_number_unsigned() && v.get<std::uint64_t>() <= 10'000)
    training_.trees = std::max(1, v.get<int>());
  if (const auto v = field(model.training, "class_weight"); !own("class-weight") && v.is_string())
    training_.balanced = v.get<std::string>() == "balanced";
}

LabelledVectors UpdateJob::load() {
  training_.data.targets.clear();
  for (const Target& target : old_->model().targets) training_.data.targets.push_back(target.name);
  training_.data.featurize.loaded = network_;
  LabelledVectors data = load_labelled_vectors(training_.data, hooks_, stop_);
  if (data.schema.vector_column == "components") {
    throw Error(
        ErrorCode::kUsage,
        data.source + " holds components: an update needs features or photos (the features/ of the results)");
  }
  if (!data.run.is_object() || !data.run.contains("fingerprint")) {
    throw Error(ErrorCode::kFormat, data.source + " does not say which network made it");
  }
  const auto warning = require_same(old_->model().backbone.fingerprint, options_.model,
                                    fingerprint_from_json(data.run["fingerprint"]), data.source, false);
  if (warning) warn(*warning);
  return data;
}

void UpdateJob::check_targets(const LabelledVectors& data) const {
  for (const Target& target : old_->model().targets) {
    const auto at = std::ranges::find(data.targets, target.name, &TargetLabels::name);
    if (at == data.targets.end() || at->labels.empty()) {
      throw Error(ErrorCode::kUsage,
                  "the labels say nothing about '" + target.name +
                      "', which the old model tells. Name a table that does with --labels.");
    }
  }
}

// Marks the photos that both models are compared on as those of a Test split, which training leaves alone.
HeldOut UpdateJob::hold_out_photos(LabelledVectors& data) const {
  const nlohmann::json& record = old_->model().training;
  const auto trained_on = SeenPhotos::from_json(field(record, "seen"));
  const auto held_before = SeenPhotos::from_json(field(record, "held_out"));
  const auto seen = [&](std::size_t row) {
    const bool known = data.hashes[row] != ContentHash{};
    if (trained_on && known && trained_on->may_contain(data.hashes[row])) return Seen::kYes;
    return trained_on && trained_on->complete() && known ? Seen::kNo : Seen::kUnsure;
  };
  // Of copies of one photo, the same to the byte, one stands for all: each counts once, on one side.
  Rows first_copy(data.n);
  std::vector<bool> of_test(data.n, false);
  std::unordered_map<ContentHash, std::size_t, ContentHashHasher> known;
  for (const bool labelled : {true, false}) {
    for (std::size_t row = 0; row < data.n; ++row) {
      if (data.labelled(row) != labelled) continue;
      const bool named = data.hashes[row] != ContentHash{};
      first_copy[row] = named ? known.try_emplace(data.hashes[row], row).first->second : row;
      if (data.splits[row] == "Test") of_test[first_copy[row]] = true;
    }
  }
  std::set<int> split_sources;  // sources that say themselves what is held out
  for (std::size_t row = 0; row < data.n; ++row) {
    if (data.splits[row] == "Test") split_sources.insert(data.origins[row]);
  }
  const TargetLabels& first = data.targets.front();
  std::vector<bool> held(data.n, false);
  // Of what is left, a share of each class: of photos that the old model did not see, or, where it saw all
  // photos of a class, of those.
  Rows unseen;
  std::map<int, Rows> by_class;
  std::set<int> covered;
  for (std::size_t row = 0; row < data.n; ++row) {
    if (first_copy[row] != row) continue;
    const Seen state = seen(row);
    const bool before = held_before && state != Seen::kYes && data.hashes[row] != ContentHash{} &&
                        held_before->may_contain(data.hashes[row]);
    if (of_test[row] || before) {
      held[row] = true;
      if (state != Seen::kYes) covered.insert(first.y[row]);
      continue;
    }
    if (first.y[row] < 0 || data.splits[row] == "Validation") continue;
    by_class[first.y[row]].push_back(row);
    if (state != Seen::kYes && !split_sources.contains(data.origins[row])) unseen.push_back(row);
  }
  const auto take = [&](const Rows& rows) {
    std::vector<int> classes;
    std::vector<std::int64_t> groups;
    for (const std::size_t row : rows) {
      classes.push_back(first.y[row]);
      if (!data.groups.empty()) groups.push_back(data.groups[row]);
    }
    // One photo, or one group, cannot be both learned from and judged by: it is trained on.
    const bool several = groups.empty() ? rows.size() > 1 : std::set(groups.begin(), groups.end()).size() > 1;
    if (!several) return;
    const std::vector<bool> taken = hold_out(classes, groups, training_.validation, training_.seed);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!taken[i]) continue;
      held[rows[i]] = true;
      covered.insert(classes[i]);
    }
  };
  take(unseen);
  Rows rest;
  for (const auto& [number, rows] : by_class) {
    if (!covered.contains(number)) rest.insert(rest.end(), rows.begin(), rows.end());
  }
  take(rest);

  HeldOut out;
  const auto d = static_cast<std::size_t>(data.d);
  for (const TargetLabels& target : data.targets) out.targets.push_back({target.name, target.labels, {}});
  for (std::size_t row = 0; row < data.n; ++row) {
    if (!held[first_copy[row]]) continue;
    data.splits[row] = "Test";
    if (first_copy[row] != row || !data.labelled(row)) continue;
    out.rows.push_back(row);
    out.seen.push_back(seen(row));
    out.x.insert(out.x.end(), data.x.begin() + static_cast<std::ptrdiff_t>(row * d),
                 data.x.begin() + static_cast<std::ptrdiff_t>((row + 1) * d));
    for (std::size_t t = 0; t < data.targets.size(); ++t) out.targets[t].y.push_back(data.targets[t].y[row]);
  }
  return out;
}

// A model that forgets a class is worse, whatever its figures are.
void UpdateJob::check_classes(const LabelledVectors& data) const {
  for (const Target& target : old_->model().targets) {
    const TargetLabels& labels = *std::ranges::find(data.targets, target.name, &TargetLabels::name);
    std::set<std::string> there;
    for (std::size_t row = 0; row < data.n; ++row) {
      if (labels.y[row] >= 0 && data.splits[row] != "Test")
        there.insert(labels.labels[static_cast<std::size_t>(labels.y[row])]);
    }
    std::vector<std::string> missing;
    for (const std::string& label : target.classifier.labels) {
      if (!there.contains(label)) missing.push_back(label);
    }
    if (!missing.empty()) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("the old model tells {}, of which the sources have no photo to train on. Name what "
                      "it was trained on as a further SOURCE; to let classes go, train a new model.",
                      name_some(missing)));
    }
  }
}

// The lower end of the old model's own validation, 0 where its record does not say.
double UpdateJob::validation_floor(const std::string& target) const {
  const nlohmann::json heads = field(old_->model().training, "heads");
  if (!heads.is_array()) return 0;
  for (const nlohmann::json& head : heads) {
    const auto low = field(head, "accuracy_low");
    if (field(head, "target") == target && low.is_number()) return std::clamp(low.get<double>(), 0.0, 1.0);
  }
  return 0;
}

HeadComparison UpdateJob::compare(std::size_t old_target, const Target& fresh, std::size_t new_target,
                                  const HeldOut& held, const std::vector<Prediction>& old_answers,
                                  const std::vector<Prediction>& new_answers) const {
  const Target& old = old_->model().targets[old_target];
  const TargetLabels& labels = *std::ranges::find(held.targets, old.name, &TargetLabels::name);
  struct Tally {
    std::uint64_t photos = 0, old_right = 0, new_right = 0, only_old = 0, only_new = 0;
    void add(bool old_is, bool new_is) {
      ++photos;
      old_right += old_is;
      new_right += new_is;
      only_old += old_is && !new_is;
      only_new += new_is && !old_is;
    }
  };
  Tally all, clean, seen, added;
  for (std::size_t i = 0; i < held.rows.size(); ++i) {
    if (labels.y[i] < 0) continue;
    const std::string& truth = labels.labels[static_cast<std::size_t>(labels.y[i])];
    const auto answer = [&](const Target& target, const Prediction& prediction, std::size_t t) {
      return target.classifier.labels[static_cast<std::size_t>(prediction.targets[t].best)] == truth;
    };
    const bool old_right = answer(old, old_answers[i], old_target);
    const bool new_right = answer(fresh, new_answers[i], new_target);
    const bool old_knows = std::ranges::find(old.classifier.labels, truth) != old.classifier.labels.end();
    const bool new_knows = std::ranges::find(fresh.classifier.labels, truth) != fresh.classifier.labels.end();
    all.add(old_right, new_right);
    if (old_knows && new_knows) (held.seen[i] == Seen::kYes ? seen : clean).add(old_right, new_right);
    if (!old_knows) added.add(false, new_right);
  }
  HeadComparison result;
  result.target = old.name;
  for (const std::string& label : fresh.classifier.labels) {
    if (std::ranges::find(old.classifier.labels, label) == old.classifier.labels.end())
      result.new_classes.push_back(label);
  }
  result.all_photos = all.photos;
  result.old_all = wilson(all.old_right, all.photos);
  result.new_all = wilson(all.new_right, all.photos);
  result.new_class_photos = added.photos;
  result.new_class_accuracy = wilson(added.new_right, added.photos);
  result.seen_photos = seen.photos;
  result.old_seen = wilson(seen.old_right, seen.photos);
  result.new_seen = wilson(seen.new_right, seen.photos);
  if (clean.photos == 0 && seen.photos == 0) {
    throw Error(ErrorCode::kUsage,
                "no photo is left to compare the two models on for '" + old.name +
                    "': the sources need two or more photos of a class, or a folder named Test");
  }
  // Where the old model saw all there is, the comparison leans to its side; it decides all the same.
  const Tally& deciding = clean.photos > 0 ? clean : seen;
  result.by_seen = clean.photos == 0;
  result.photos = deciding.photos;
  result.old_accuracy = wilson(deciding.old_right, deciding.photos);
  result.new_accuracy = wilson(deciding.new_right, deciding.photos);
  result.only_old_right = deciding.only_old;
  result.only_new_right = deciding.only_new;
  result.p = mcnemar(deciding.only_old, deciding.only_new);
  result.no_worse = deciding.new_right >= deciding.old_right;
  if (clean.photos > 0 && seen.photos > 0) {
    result.seen_floor = std::min(validation_floor(old.name), result.old_seen.value);
    result.no_worse = result.no_worse && result.new_seen.value >= result.seen_floor;
  }
  return result;
}

nlohmann::json UpdateJob::entry() const {
  nlohmann::json targets = nlohmann::json::array();
  for (const HeadComparison& head : result_.heads) {
    nlohmann::json one = {{"target", head.target},
                          {"photos", head.photos},
                          {"old_accuracy", head.old_accuracy.value},
                          {"new_accuracy", head.new_accuracy.value},
                          {"only_old_right", head.only_old_right},
                          {"only_new_right", head.only_new_right},
                          {"mcnemar_p", head.p},
                          {"all_photos", head.all_photos},
                          {"old_accuracy_all", head.old_all.value},
                          {"new_accuracy_all", head.new_all.value},
                          {"new_classes", head.new_classes},
                          {"decided_on_seen_by_old", head.by_seen},
                          {"no_worse", head.no_worse}};
    if (head.new_class_photos > 0) {
      one["new_class_photos"] = head.new_class_photos;
      one["new_class_accuracy"] = head.new_class_accuracy.value;
    }
    if (head.seen_photos > 0) {
      one["seen_by_old_photos"] = head.seen_photos;
      one["seen_by_old_old_accuracy"] = head.old_seen.value;
      one["seen_by_old_new_accuracy"] = head.new_seen.value;
      one["seen_by_old_floor"] = head.seen_floor;
    }
    targets.push_back(std::move(one));
  }
  return {{"finished", utc_now()},
          {"replaced", result_.replaced},
          {"rule", kRule},
          {"old_sha256", old_->model().sha256},
          {"photos", result_.trained.trained_on},
          {"held_out", result_.held_out},
          {"seen_by_old", result_.seen_by_old},
          {"unsure_if_seen_by_old", result_.unsure},
          {"seed", training_.seed},
          {"targets", targets},
          {"invocation", training_.invocation}};
}

// A line beside the old model: comparisons that did not replace it must not change its file.
void UpdateJob::remember(const nlohmann::json& line) const {
  const FilePlace place = file_place(options_.model);
  const std::string name = place.name + ".updates.jsonl";
  const Store store = Store::open(place.folder);
  const std::string before = store.exists(name) ? store.read(name) : "";
  store.write(name, before + line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

UpdateResult UpdateJob::run() {
  const std::string& output = training_.output;
  const bool in_place = output == options_.model;
  if (!in_place && !training_.overwrite && !is_remote_uri(output) && std::filesystem::exists(output))
    throw Error(ErrorCode::kExists, output + " is there already. --overwrite replaces it.");
  open_old();
  inherit();
  LabelledVectors data = load();
  check_targets(data);
  const HeldOut held = hold_out_photos(data);
  check_classes(data);
  result_.held_out = held.rows.size();
  result_.seen_by_old = static_cast<std::uint64_t>(std::ranges::count(held.seen, Seen::kYes));
  result_.unsure = static_cast<std::uint64_t>(std::ranges::count(held.seen, Seen::kUnsure));
  std::vector<ContentHash> held_hashes;
  for (const std::size_t row : held.rows) held_hashes.push_back(data.hashes[row]);
  LabelledVectors sources;
  sources.contributions = data.contributions;
  const nlohmann::json fingerprint = data.run["fingerprint"];

  TrainedModel trained = train_model(training_, std::move(data), *network_, hooks_, stop_);
  std::ranges::copy(result_.trained.warnings, std::back_inserter(trained.result.warnings));
  result_.trained = std::move(trained.result);
  result_.trained.path = output;
  result_.path = output;
  trained.model.backbone = old_->model().backbone;
  trained.model.backbone.fingerprint = fingerprint_from_json(fingerprint);
  trained.model.name = old_->model().name;
  trained.model.card = old_->model().card;

  const Predictor fresh(trained.model);
  const std::vector<Prediction> old_answers = old_->predict(held.x, held.rows.size());
  const std::vector<Prediction> new_answers = fresh.predict(held.x, held.rows.size());
  for (std::size_t t = 0; t < old_->model().targets.size(); ++t) {
    const auto at = std::ranges::find(trained.model.targets, old_->model().targets[t].name, &Target::name);
    result_.heads.push_back(compare(t, *at, static_cast<std::size_t>(at - trained.model.targets.begin()),
                                    held, old_answers, new_answers));
  }
  if (result_.unsure > 0) {
    warn(fmt::format(
        "nothing says whether the old model was trained on {} of the {} held-out photos; if it was, the "
        "comparison favours it",
        human_count(result_.unsure), human_count(result_.held_out)));
  }
  for (const HeadComparison& head : result_.heads) {
    if (head.by_seen) {
      warn(fmt::format(
          "the old model was trained on all photos that '{}' is compared on, so the comparison favours "
          "it. Photos in a folder named Test, or new ones, make it fair.",
          head.target));
      break;
    }
  }
  result_.replaced = std::ranges::all_of(result_.heads, &HeadComparison::no_worse);
  result_.entry = entry();
  if (result_.replaced) {
    nlohmann::json history = field(old_->model().training, "history");
    if (!history.is_array()) history = nlohmann::json::array();
    history.push_back(result_.entry);
    trained.model.training["updates"] = history.size();
    trained.model.training["history"] = std::move(history);
    trained.model.training["held_out"] = SeenPhotos::of(held_hashes).to_json();
    trained.model.training["warnings"] = result_.trained.warnings;
    // Whoever else updates the same file must not lose what they did.
    if (in_place && load_model(options_.model).sha256 != old_->model().sha256) {
      throw Error(
          ErrorCode::kMismatch,
          options_.model + " has changed while the new model was trained. It is left as it is: try again.");
    }
    publish_model(trained.model, output, sources);
  }
  remember(result_.entry);
  return std::move(result_);
}

}  // namespace

UpdateResult update_model(const UpdateOptions& options, const Hooks& hooks, std::stop_token stop) {
  return UpdateJob(options, hooks, std::move(stop)).run();
}

}  // namespace pomona
