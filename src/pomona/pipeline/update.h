// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/base/progress.h"
#include "pomona/learn/metrics.h"
#include "pomona/pipeline/train.h"

namespace pomona {

struct UpdateOptions {
  std::string model;  // the old model file
  TrainingOptions
      training;  // data: the sources, old and new; output: where the new model goes, may be `model`
  std::set<std::string> own;  // settings of `training` that are meant; all others are as the old model's:
                              // classifier, on, components, class-weight, trees, c, seed, target-precision
};

// How the old and the new model answer the same photos, for one target.
struct HeadComparison {
  std::string target;
  // What decides: held-out photos of classes that both know, and that neither was trained on.
  std::uint64_t photos = 0;
  bool by_seen = false;  // there is none such: those that the old model was trained on decide
  Share old_accuracy, new_accuracy;
  std::uint64_t only_old_right = 0, only_new_right = 0;
  double p = 1;  // two-sided, of McNemar's exact test: how likely so uneven a difference is by chance
  // All held-out photos; the old model is wrong on classes it does not know.
  std::uint64_t all_photos = 0;
  Share old_all, new_all;
  // Classes that the new model knows and the old does not.
  std::vector<std::string> new_classes;
  std::uint64_t new_class_photos = 0;
  Share new_class_accuracy;
  // Photos of classes both know that the old model was trained on: all there are of some classes.
  std::uint64_t seen_photos = 0;
  Share old_seen, new_seen;
  double seen_floor = 0;  // the new model's share there must not be below this
  bool no_worse = false;
};

struct UpdateResult {
  bool replaced = false;
  std::string path;  // of the model file that was, or would have been, written
  std::vector<HeadComparison> heads;
  std::uint64_t held_out = 0;     // photos both were compared on
  std::uint64_t seen_by_old = 0;  // of these, those that the old model was trained on
  std::uint64_t unsure = 0;       // of these, those that it may have been trained on: nothing says
  TrainingResult trained;
  nlohmann::json entry;  // as it stands in the model's history
};

// Trains a model that takes the place of an old one: the same network, the old classes and any new ones, from
// all sources together. A share of the photos is held out, among those the old model was not trained on (it
// records which it was); both models answer them, and the new is written only if it is no worse: for every
// target, it gets at least as many photos right as the old one. It is the compared model that is written.
// Photos that were held out stay so in later updates. The model's record keeps all comparisons that replaced
// a model; `<model>.updates.jsonl` beside it, those that did not too.
// Throws Error: as train() and read_model_file() do; kUsage where sources lack classes or targets of the old
// model, or hold nothing to compare on; kMismatch for features of another network, or where the old file
// changed in the meantime; kExists for another output that is there.
UpdateResult update_model(const UpdateOptions& options, const Hooks& hooks, std::stop_token stop = {});

}  // namespace pomona
