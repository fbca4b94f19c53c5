// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/training_data.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <set>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/scratch_folder.h"

namespace pomona {
namespace {

bool is_dataset(const Store& store) {
  const DatasetState state = dataset_state(store);
  return state == DatasetState::kFinished || state == DatasetState::kUnfinished;
}

void read_vectors(const Store& store, LabelledVectors& data,
                  std::vector<std::optional<std::string>>& labels) {
  const DatasetReader reader = DatasetReader::open(store);
  data.schema = reader.schema();
  data.run = reader.run();
  data.d = data.schema.d;
  data.x.reserve(reader.rows() * static_cast<std::uint64_t>(data.d));
  for (const PartRecord& part : reader.parts()) data.rejected += part.rejected;
  reader.read(true, [&](Block&& block) {
    for (std::size_t i = 0; i < block.vectors.size(); ++i) {
      if (std::isfinite(block.vectors[i])) continue;
      const std::string& path = block.rows[i / static_cast<std::size_t>(data.d)].path;
      throw Error(ErrorCode::kFormat, data.source + " holds a number that is not finite, in the vector of " +
                                          path + ". `pomona check` says whether the dataset is damaged.");
    }
    data.x.insert(data.x.end(), block.vectors.begin(), block.vectors.end());
    for (RowInfo& row : block.rows) {
      data.paths.push_back(std::move(row.path));
      data.splits.push_back(std::move(row.split));
      labels.push_back(std::move(row.label));
    }
    return true;
  });
  data.n = data.paths.size();
}

TargetLabels make_target(std::string name, const std::vector<std::optional<std::string>>& values) {
  TargetLabels target;
  target.name = std::move(name);
  std::set<std::string> classes;
  for (const auto& value : values) {
    if (value) classes.insert(*value);
  }
  target.labels.assign(classes.begin(), classes.end());
  for (const auto& value : values) {
    target.y.push_back(
        value ? static_cast<int>(std::ranges::lower_bound(target.labels, *value) - target.labels.begin())
              : -1);
  }
  return target;
}

std::vector<std::int64_t> number_groups(const std::vector<std::optional<std::string>>& values) {
  std::map<std::string, std::int64_t> known;
  std::vector<std::int64_t> groups;
  std::int64_t next = 0;
  for (const auto& value : values) {
    // A photo without a group is a group of its own.
    if (!value) {
      groups.push_back(next++);
      continue;
    }
    const auto [at, fresh] = known.try_emplace(*value, next);
    if (fresh) ++next;
    groups.push_back(at->second);
  }
  return groups;
}

std::vector<std::optional<std::string>> matches(const std::vector<std::string>& paths,
                                                const std::string& pattern) {
  std::regex expression;
  try {
    expression = std::regex(pattern);
  } catch (const std::regex_error& error) {
    throw Error(ErrorCode::kUsage, "--groups '" + pattern +
                                       "' is neither a column of the label table nor a regular "
                                       "expression: " +
                                       error.what());
  }
  std::vector<std::optional<std::string>> values;
  std::size_t matched = 0;
  for (const std::string& path : paths) {
    std::smatch match;
    if (std::regex_search(path, match, expression)) {
      values.emplace_back(match.size() > 1 ? match[1].str() : match[0].str());
      ++matched;
    } else {
      values.emplace_back(std::nullopt);
    }
  }
  if (matched == 0 && !paths.empty()) {
    throw Error(ErrorCode::kUsage,
                "--groups '" + pattern + "' matches no path, for example not " + paths.front());
  }
  return values;
}

void take_labels(const LabelledVectorsOptions& options,
                 const std::vector<std::optional<std::string>>& folders, LabelledVectors& data) {
  std::optional<std::vector<std::optional<std::string>>> groups;
  if (options.labels == "folder") {
    data.targets.push_back(make_target("label", folders));
  } else {
    const LabelTable table = LabelTable::read(options.labels);
    std::vector<std::vector<std::optional<std::string>>> columns(table.columns().size());
    std::size_t found = 0;
    for (const std::string& path : data.paths) {
      const auto* values = table.find(path);
      found += values != nullptr;
      for (std::size_t c = 0; c < columns.size(); ++c) {
        columns[c].push_back(values == nullptr ? std::nullopt : (*values)[c]);
      }
    }
    if (found == 0) {
      throw Error(ErrorCode::kFormat, "the labels of " + options.labels + " match no photo of " +
                                          data.source +
                                          ". Its key column must hold paths or file names such as " +
                                          (data.paths.empty() ? std::string("...") : data.paths.front()));
    }
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (options.groups == table.columns()[c]) {
        groups = std::move(columns[c]);
      } else {
        data.targets.push_back(make_target(table.columns()[c], columns[c]));
      }
    }
  }
  if (options.groups) data.groups = number_groups(groups ? *groups : matches(data.paths, *options.groups));
  for (const TargetLabels& target : data.targets) {
    if (target.labels.empty()) {
      throw Error(ErrorCode::kFormat,
                  "no photo of " + data.source + " has a " +
                      (target.name == "label" ? std::string("label") : "value of '" + target.name + "'") +
                      ". Photos take theirs from their folder's name, or from --labels TABLE.");
    }
  }
}

}  // namespace

LabelledVectors load_labelled_vectors(const LabelledVectorsOptions& options, const Hooks& hooks,
                                      std::stop_token stop) {
  LabelledVectors data;
  data.source = options.source;
  std::vector<std::optional<std::string>> folders;
  const Store place = Store::open(options.source);
  if (is_dataset(place)) {
    read_vectors(place, data, folders);
  } else if (const Store features = place.at("features"); is_dataset(features)) {
    read_vectors(features, data, folders);
  } else {
    const ScratchFolder scratch;
    FeaturizeOptions featurize_options = options.featurize;
    if (featurize_options.listing.sources.empty()) featurize_options.listing.sources = {options.source};
    featurize_options.dest = (scratch.path() / "features").string();
    featurize_options.moments = false;
    featurize_options.labels = "folder";
    featurize(featurize_options, hooks, stop);
    read_vectors(Store::open(featurize_options.dest), data, folders);
  }
  take_labels(options, folders, data);
  return data;
}

}  // namespace pomona
