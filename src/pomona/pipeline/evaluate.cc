// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/evaluate.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/model/fingerprint.h"
#include "pomona/pipeline/predict.h"
#include "pomona/pipeline/reduce.h"

namespace pomona {
namespace {

// Components mean nothing to a head that was trained on those of another PCA.
void require_pca(const LabelledVectors& data, const Pca& trained, const EvaluationOptions& options,
                 const Hooks& hooks) {
  if (!data.run.is_object()) return;
  std::optional<Pca> theirs;
  try {
    theirs = pca_of_run(data.run, data.source);
  } catch (const Error& error) {
    if (hooks.warning) {
      hooks.warning("nothing says whether the components of " + data.source +
                    " are those of the model: " + error.what());
    }
    return;
  }
  if (std::ranges::equal(theirs->components(), trained.components()) &&
      std::ranges::equal(theirs->mean(), trained.mean())) {
    return;
  }
  throw Error(ErrorCode::kMismatch, "the components of " + data.source +
                                        " are of another PCA than the one that " + options.model +
                                        " was trained with: evaluate it on features or photos");
}

LabelledVectors load(const EvaluationOptions& options, const ModelFile& model, const Hooks& hooks,
                     std::stop_token stop) {
  LabelledVectorsOptions data_options = options.data;
  const Store place = Store::open(data_options.source);
  const auto absent = [](const Store& store) { return dataset_state(store) == DatasetState::kAbsent; };
  if (dataset_state(place) == DatasetState::kForeign && absent(place.at("features"))) {
    NetworkOptions network = data_options.featurize.network;
    network.streams = options.threads;
    // As predict() does: the figures are to be those of its answers.
    if (network.precision == Precision::kAuto)
      network.precision = precision_like(model.backbone.fingerprint.precision);
    data_options.featurize.threads = options.threads;
    data_options.featurize.loaded = load_network(model, network);
  }
  LabelledVectors data = load_labelled_vectors(data_options, hooks, std::move(stop));
  if (data.run.is_object() && data.run.contains("fingerprint") && data.run["fingerprint"].is_object()) {
    const auto warning =
        require_same(model.backbone.fingerprint, options.model,
                     fingerprint_from_json(data.run["fingerprint"]), data.source, options.strict);
    if (warning && hooks.warning) hooks.warning(*warning);
  }
  if (data.schema.vector_column == "components" && model.pca) require_pca(data, *model.pca, options, hooks);
  return data;
}

// Keeps the rows that are asked for, in place.
std::string keep_split(LabelledVectors& data, const std::optional<std::string>& wanted) {
  const bool has_test =
      std::ranges::find(data.splits, std::optional<std::string>("Test")) != data.splits.end();
  const std::string split = wanted.value_or(has_test ? "Test" : "all");
  if (split == "all") return split;
  const auto d = static_cast<std::size_t>(data.d);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < data.n; ++i) {
    if (data.splits[i] != split) continue;
    if (kept != i) {
      std::copy_n(data.x.begin() + static_cast<std::ptrdiff_t>(i * d), d,
                  data.x.begin() + static_cast<std::ptrdiff_t>(kept * d));
      data.paths[kept] = std::move(data.paths[i]);
      for (TargetLabels& target : data.targets) target.y[kept] = target.y[i];
    }
    ++kept;
  }
  if (kept == 0) {
    throw Error(ErrorCode::kUsage, data.source + " has no photos of the split '" + split +
                                       "'. --split takes Training, Validation, Test or all.");
  }
  data.n = kept;
  data.x.resize(kept * d);
  data.paths.resize(kept);
  for (TargetLabels& target : data.targets) target.y.resize(kept);
  return split;
}

TargetEvaluation evaluate_target(std::size_t t, const Target& target, const TargetLabels& labels,
                                 const LabelledVectors& data, const std::vector<Prediction>& predictions,
                                 std::size_t most_mistakes) {
  TargetEvaluation result;
  result.target = target.name;
  result.classifier = target.classifier.kind;
  std::vector<int> known;  // the data's class -> the model's
  for (const std::string& label : labels.labels) {
    const auto at = std::ranges::find(target.classifier.labels, label);
    known.push_back(
        at == target.classifier.labels.end() ? -1 : static_cast<int>(at - target.classifier.labels.begin()));
  }
  std::vector<int> truth;
  std::vector<float> probabilities;
  std::uint64_t confident_right = 0;
  for (std::size_t i = 0; i < data.n; ++i) {
    if (labels.y[i] < 0) continue;
    const int right = known[static_cast<std::size_t>(labels.y[i])];
    if (right < 0) {
      ++result.foreign;
      result.foreign_unknown += predictions[i].unknown;
      continue;
    }
    const TargetAnswer& answer = predictions[i].targets[t];
    truth.push_back(right);
    probabilities.insert(probabilities.end(), predictions[i].probabilities[t].begin(),
                         predictions[i].probabilities[t].end());
    ++(predictions[i].unknown ? result.unknown_photos
       : answer.confident     ? result.confident_photos
                              : result.unsure_photos);
    if (answer.confident) confident_right += answer.best == right;
    if (answer.best != right) {
      result.mistakes.push_back({data.paths[i], target.classifier.labels[static_cast<std::size_t>(right)],
                                 target.classifier.labels[static_cast<std::size_t>(answer.best)],
                                 answer.probability});
    }
  }
  if (truth.empty()) {
    throw Error(ErrorCode::kFormat,
                "no photo of " + data.source + " has a class that the model knows for '" + target.name + "'");
  }
  result.metrics = measure(truth, probabilities, target.classifier.labels);
  const auto confident = static_cast<double>(result.confident_photos);
  result.confident = confident / static_cast<double>(truth.size());
  result.confident_precision =
      result.confident_photos == 0 ? 0 : static_cast<double>(confident_right) / confident;
  std::ranges::stable_sort(result.mistakes, std::greater{}, &Mistake::probability);
  result.mistakes_total = result.mistakes.size();
  if (result.mistakes.size() > most_mistakes) result.mistakes.resize(most_mistakes);
  return result;
}

}  // namespace

Evaluation evaluate(const EvaluationOptions& options, const Hooks& hooks, std::stop_token stop) {
  const Predictor predictor(load_model(options.model));
  const ModelFile& model = predictor.model();
  LabelledVectors data = load(options, model, hooks, stop);
  Evaluation result;
  if (options.components_needed) {
    ComponentsNeededOptions needed;
    needed.seed = options.seed;
    needed.threads = options.threads > 0 ? options.threads : cpu_budget();
    result.components = components_needed(data, needed, stop);
  }
  result.split = keep_split(data, options.split);
  result.rejected = data.rejected;
  for (std::size_t row = 0; row < data.n; ++row) result.unlabelled += !data.labelled(row);
  if (result.unlabelled == data.n && data.n > 0 && result.split != "all") {
    throw Error(ErrorCode::kUsage,
                "none of the " + human_count(data.n) + " " + result.split + " photos of " + data.source +
                    " has a label: label some, or name another split (--split Training, Validation or all)");
  }
  const std::vector<Prediction> predictions = data.schema.vector_column == "components"
                                                  ? predictor.predict_components(data.x, data.n)
                                                  : predictor.predict(data.x, data.n);
  const auto unknown = std::ranges::count_if(predictions, &Prediction::unknown);
  result.unknown = data.n == 0 ? 0 : static_cast<double>(unknown) / static_cast<double>(data.n);
  for (std::size_t t = 0; t < model.targets.size(); ++t) {
    const auto labels = std::ranges::find(data.targets, model.targets[t].name, &TargetLabels::name);
    if (labels == data.targets.end()) {
      // A model of one target needs no name for it: folders and columns both say what it is.
      if (model.targets.size() == 1 && data.targets.size() == 1) {
        result.targets.push_back(
            evaluate_target(t, model.targets[t], data.targets.front(), data, predictions, options.mistakes));
        continue;
      }
      throw Error(ErrorCode::kUsage, "the labels say nothing about '" + model.targets[t].name +
                                         "', which the model tells. Name a table that does with --labels.");
    }
    result.targets.push_back(
        evaluate_target(t, model.targets[t], *labels, data, predictions, options.mistakes));
  }
  return result;
}

nlohmann::json to_json(const Evaluation& evaluation) {
  nlohmann::json all = nlohmann::json::array();
  for (const TargetEvaluation& target : evaluation.targets) {
    nlohmann::json one = to_json(target.metrics);
    one["target"] = target.target;
    one["classifier"] = target.classifier;
    one["confident_photos"] = target.confident_photos;
    one["unsure_photos"] = target.unsure_photos;
    one["unknown_photos"] = target.unknown_photos;
    one["confident"] = target.confident;
    one["confident_precision"] = target.confident_precision;
    one["foreign"] = target.foreign;
    one["foreign_unknown"] = target.foreign_unknown;
    one["mistakes_total"] = target.mistakes_total;
    one["mistakes"] = nlohmann::json::array();
    for (const Mistake& mistake : target.mistakes) {
      one["mistakes"].push_back({{"path", mistake.path},
                                 {"label", mistake.label},
                                 {"predicted", mistake.predicted},
                                 {"probability", mistake.probability}});
    }
    all.push_back(std::move(one));
  }
  nlohmann::json json = all.empty() ? nlohmann::json::object() : all.front();
  json["split"] = evaluation.split;
  json["rejected"] = evaluation.rejected;
  json["unlabelled"] = evaluation.unlabelled;
  json["unknown"] = evaluation.unknown;
  if (evaluation.components) add_to_json(*evaluation.components, json);
  if (all.size() > 1) json["targets"] = std::move(all);
  return json;
}

nlohmann::json validation_json(const TrainingResult& trained, const LabelledVectorsOptions& data,
                               std::uint64_t seed, int threads, const Hooks& hooks, std::stop_token stop) {
  nlohmann::json json =
      trained.heads.empty() ? nlohmann::json::object() : to_json(trained.heads.front().validation);
  if (!trained.heads.empty()) {
    json["target"] = trained.heads.front().target;
    json["classifier"] = trained.heads.front().classifier;
  }
  json["split"] = trained.validated_by;
  ComponentsNeededOptions options;
  options.seed = seed;
  options.threads = threads > 0 ? threads : cpu_budget();
  if (const auto needed = components_needed(load_labelled_vectors(data, hooks, stop), options, stop))
    add_to_json(*needed, json);
  return json;
}

}  // namespace pomona
