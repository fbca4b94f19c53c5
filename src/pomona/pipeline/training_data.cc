// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/training_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <unordered_map>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/contributions/contributions.h"
#include "pomona/model/fingerprint.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/pipeline/scratch_folder.h"

namespace pomona {
namespace {

bool is_dataset(const Store& store) {
  const DatasetState state = dataset_state(store);
  return state == DatasetState::kFinished || state == DatasetState::kUnfinished;
}

using Values = std::vector<std::optional<std::string>>;

// One source, read.
struct SourceRows {
  LabelledVectors data;  // targets and groups are left empty
  Values folders;        // the label column
  // Contributions bring their own: target -> value per row.
  std::optional<std::map<std::string, Values>> own;
};

void read_vectors(const Store& store, const std::string& source, SourceRows& rows) {
  const DatasetReader reader = DatasetReader::open(store);
  LabelledVectors& data = rows.data;
  data.source = source;
  data.schema = reader.schema();
  data.run = reader.run();
  data.d = data.schema.d;
  data.x.reserve(reader.rows() * static_cast<std::uint64_t>(data.d));
  for (const PartRecord& part : reader.parts()) data.rejected += part.rejected;
  reader.read(true, [&](Block&& block) {
    for (std::size_t i = 0; i < block.vectors.size(); ++i) {
      if (std::isfinite(block.vectors[i])) continue;
      const std::string& path = block.rows[i / static_cast<std::size_t>(data.d)].path;
      throw Error(ErrorCode::kFormat, source + " holds a number that is not finite, in the vector of " +
                                          path + ". `pomona check` says whether the dataset is damaged.");
    }
    data.x.insert(data.x.end(), block.vectors.begin(), block.vectors.end());
    for (RowInfo& row : block.rows) {
      data.paths.push_back(std::move(row.path));
      data.splits.push_back(std::move(row.split));
      data.hashes.push_back(row.hash);
      rows.folders.push_back(std::move(row.label));
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

// What the label column, the table or the contributors say about the rows of one source.
struct Told {
  std::vector<std::string> names;
  std::vector<Values> columns;  // per name
  Values groups;                // empty where no column says
  std::size_t found = 0;        // rows that the table knows
};

Told told_of(const SourceRows& rows, const LabelledVectorsOptions& options, const LabelTable* table) {
  Told told;
  if (rows.own) {
    for (const auto& [name, values] : *rows.own) {
      told.names.push_back(name);
      told.columns.push_back(values);
    }
    return told;
  }
  if (table == nullptr) {
    told.names = {"label"};
    told.columns = {rows.folders};
    return told;
  }
  std::vector<Values> columns(table->columns().size());
  for (const std::string& path : rows.data.paths) {
    const auto* values = table->find(path);
    told.found += values != nullptr;
    for (std::size_t c = 0; c < columns.size(); ++c)
      columns[c].push_back(values == nullptr ? std::nullopt : (*values)[c]);
  }
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (options.groups == table->columns()[c]) {
      told.groups = std::move(columns[c]);
    } else {
      told.names.push_back(table->columns()[c]);
      told.columns.push_back(std::move(columns[c]));
    }
  }
  return told;
}

// The targets of all sources: those asked for, then those of folders and tables, or else of contributions.
std::vector<std::string> target_names(const std::vector<SourceRows>& sources, const std::vector<Told>& told,
                                      const LabelledVectorsOptions& options) {
  std::vector<std::string> names = options.targets;
  const auto add = [&](const Told& one) {
    if (names.size() == 1 && one.names.size() == 1) return;  // two names for the same thing
    for (const std::string& name : one.names) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  };
  for (std::size_t s = 0; s < sources.size(); ++s) {
    // Folders name one thing; a model that tells several takes nothing from them.
    const bool plain = options.labels == "folder" && names.size() > 1;
    if (!sources[s].own && !plain) add(told[s]);
  }
  if (!names.empty()) return names;
  for (const Told& one : told) add(one);
  return names;
}

const Values* values_of(const Told& told, const std::string& target, bool only) {
  if (only && told.names.size() == 1) return &told.columns.front();
  const auto at = std::ranges::find(told.names, target);
  return at == told.names.end() ? nullptr : &told.columns[static_cast<std::size_t>(at - told.names.begin())];
}

void take_labels(const LabelledVectorsOptions& options, const std::vector<SourceRows>& sources,
                 LabelledVectors& data) {
  std::optional<LabelTable> table;
  if (options.labels != "folder") table = LabelTable::read(options.labels);
  std::vector<Told> told;
  std::size_t found = 0;
  bool asked = false;  // the table was
  bool grouped = false;
  for (const SourceRows& rows : sources) {
    told.push_back(told_of(rows, options, table ? &*table : nullptr));
    found += told.back().found;
    asked = asked || (table && !rows.own);
    grouped = grouped || !told.back().groups.empty();
  }
  if (asked && found == 0) {
    throw Error(ErrorCode::kFormat, "the labels of " + options.labels + " match no photo of " + data.source +
                                        ". Its key column must hold paths or file names such as " +
                                        (data.paths.empty() ? std::string("...") : data.paths.front()));
  }
  const std::vector<std::string> names = target_names(sources, told, options);
  for (const std::string& name : names) {
    Values all;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      const Values* values = values_of(told[s], name, names.size() == 1);
      if (values == nullptr) {
        all.resize(all.size() + sources[s].data.n);
      } else {
        all.insert(all.end(), values->begin(), values->end());
      }
    }
    data.targets.push_back(make_target(name, all));
  }
  if (grouped) {
    Values groups;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      if (told[s].groups.empty()) {
        groups.resize(groups.size() + sources[s].data.n);
      } else {
        groups.insert(groups.end(), told[s].groups.begin(), told[s].groups.end());
      }
    }
    data.groups = number_groups(groups);
  } else if (options.groups) {
    data.groups = number_groups(matches(data.paths, *options.groups));
  }
  for (const TargetLabels& target : data.targets) {
    if (target.labels.empty()) {
      if (data.n == 0 && data.rejected > 0) {
        throw Error(ErrorCode::kFormat, "none of the " + human_count(data.rejected) + " photos of " +
                                            data.source +
                                            " could be read: `pomona featurize` lists each with its reason");
      }
      throw Error(ErrorCode::kFormat,
                  "no photo of " + data.source + " has a " +
                      (target.name == "label" ? std::string("label") : "value of '" + target.name + "'") +
                      ". Photos take theirs from their folder's name, or from --labels TABLE.");
    }
  }
}

enum class SourceKind { kDataset, kResults, kContributions, kPhotos };

SourceKind kind_of(const std::string& source) {
  const Store place = Store::open(source);
  if (is_dataset(place)) return SourceKind::kDataset;
  if (is_dataset(place.at("features"))) return SourceKind::kResults;
  if (place.is_local() && is_contributions_folder(place.uri())) return SourceKind::kContributions;
  return SourceKind::kPhotos;
}

std::string rejects_warning(const FeaturizeResult& result, const Store& dataset, const std::string& source) {
  std::vector<std::string> photos;
  for (const RejectRow& row : DatasetReader::open(dataset).rejects())
    photos.push_back(row.path + " (" + row.stage + ": " + row.reason + ")");
  return human_count(result.rejected) + " of the " + human_count(result.listed) + " photos of " + source +
         " could not be read and are left out: " + name_some(photos) +
         ". `pomona featurize` lists each with its reason.";
}

void featurize_into(FeaturizeOptions featurize_options, const std::string& photos,
                    const std::filesystem::path& dest, const std::string& source, const Hooks& hooks,
                    const std::stop_token& stop, SourceRows& rows) {
  if (featurize_options.listing.sources.empty()) featurize_options.listing.sources = {photos};
  featurize_options.dest = dest.string();
  featurize_options.moments = false;
  featurize_options.labels = "folder";
  const FeaturizeResult result = featurize(featurize_options, hooks, stop);
  const Store dataset = Store::open(featurize_options.dest);
  if (result.rejected > 0 && result.written > 0 && hooks.warning)
    hooks.warning(rejects_warning(result, dataset, source));
  read_vectors(dataset, source, rows);
  std::error_code ignored;
  std::filesystem::remove_all(dest, ignored);
}

// Photos of contributors, in `scratch`, with what they said.
void read_contributions(const std::string& source, const FeaturizeOptions& featurize_options,
                        const std::filesystem::path& scratch, const Hooks& hooks, const std::stop_token& stop,
                        SourceRows& rows) {
  ContributionOptions options;
  options.create = false;
  ContributionStore store = ContributionStore::open(source, options);
  std::map<std::int64_t, Contribution> known;
  for (Contribution& one : store.list()) known.emplace(one.id, std::move(one));
  const ContributionExport exported = store.export_to(scratch / "photos", false);
  std::map<std::string, const Contribution*> by_path;
  for (std::size_t i = 0; i < exported.ids.size(); ++i) {
    const auto at = known.find(exported.ids[i]);
    if (at != known.end()) by_path[exported.files[i].string()] = &at->second;
  }
  FeaturizeOptions own = featurize_options;
  own.listing = {};
  featurize_into(own, (scratch / "photos").string(), scratch / "features", source, hooks, stop, rows);
  rows.own.emplace();
  for (std::size_t row = 0; row < rows.data.n; ++row) {
    const auto at = by_path.find(rows.data.paths[row]);
    if (at == by_path.end()) continue;
    for (const ContributionLabel& label : at->second->labels) {
      if (label.label.empty()) continue;
      Values& values = (*rows.own)[label.target];
      values.resize(rows.data.n);
      values[row] = label.label;
    }
  }
  rows.data.contributions.push_back(
      {std::filesystem::absolute(source).lexically_normal().string(), exported.ids});
}

// The rows of one source behind those of the others.
void append(LabelledVectors&& part, int origin, LabelledVectors& all, const Hooks& hooks) {
  if (origin == 0) {
    all = std::move(part);
  } else {
    if (part.schema.vector_column != "features" || all.schema.vector_column != "features") {
      throw Error(ErrorCode::kUsage,
                  "components of several datasets are not of one PCA: name their features (" + part.source +
                      " beside " + all.source + ")");
    }
    const auto fingerprint = [](const LabelledVectors& data) {
      if (!data.run.is_object() || !data.run.contains("fingerprint") || !data.run["fingerprint"].is_object())
        throw Error(ErrorCode::kFormat, data.source + " does not say which network made it");
      return fingerprint_from_json(data.run["fingerprint"]);
    };
    const auto warning = require_same(fingerprint(all), all.source, fingerprint(part), part.source, false);
    if (warning && hooks.warning) hooks.warning(*warning);
    all.x.insert(all.x.end(), part.x.begin(), part.x.end());
    std::ranges::move(part.paths, std::back_inserter(all.paths));
    std::ranges::move(part.splits, std::back_inserter(all.splits));
    all.hashes.insert(all.hashes.end(), part.hashes.begin(), part.hashes.end());
    std::ranges::move(part.contributions, std::back_inserter(all.contributions));
    all.rejected += part.rejected;
    all.n += part.n;
    all.source += " and " + part.source;
  }
  all.origins.resize(all.n, origin);
}

// Takes photos that come again away: the first counts, held out for the test if any of them is.
void drop_repeated(LabelledVectors& data, const Hooks& hooks) {
  std::unordered_map<ContentHash, std::size_t, ContentHashHasher> first;
  const auto d = static_cast<std::size_t>(data.d);
  std::size_t kept = 0;
  std::size_t contradicted = 0;
  for (std::size_t row = 0; row < data.n; ++row) {
    if (data.hashes[row] != ContentHash{}) {
      const auto [at, fresh] = first.try_emplace(data.hashes[row], kept);
      if (!fresh) {
        const std::size_t earlier = at->second;
        if (data.splits[row] == "Test") data.splits[earlier] = "Test";
        for (TargetLabels& target : data.targets) {
          if (target.y[earlier] < 0) target.y[earlier] = target.y[row];
          if (target.y[row] >= 0 && target.y[row] != target.y[earlier]) ++contradicted;
        }
        continue;
      }
    }
    if (kept != row) {
      std::copy_n(data.x.begin() + static_cast<std::ptrdiff_t>(row * d), d,
                  data.x.begin() + static_cast<std::ptrdiff_t>(kept * d));
      data.paths[kept] = std::move(data.paths[row]);
      data.splits[kept] = std::move(data.splits[row]);
      data.hashes[kept] = data.hashes[row];
      data.origins[kept] = data.origins[row];
      for (TargetLabels& target : data.targets) target.y[kept] = target.y[row];
      if (!data.groups.empty()) data.groups[kept] = data.groups[row];
    }
    ++kept;
  }
  if (kept == data.n) return;
  if (hooks.note)
    hooks.note(human_count(data.n - kept) + " photos come again among the sources; each counts once");
  if (contradicted > 0 && hooks.warning) {
    hooks.warning(human_count(contradicted) +
                  " of the photos that come again have another label the second time: the first counts");
  }
  data.n = kept;
  data.x.resize(kept * d);
  data.paths.resize(kept);
  data.splits.resize(kept);
  data.hashes.resize(kept);
  data.origins.resize(kept);
  for (TargetLabels& target : data.targets) target.y.resize(kept);
  if (!data.groups.empty()) data.groups.resize(kept);
}

}  // namespace

bool LabelledVectors::labelled(std::size_t row) const {
  return std::ranges::any_of(targets, [&](const TargetLabels& target) { return target.y[row] >= 0; });
}

LabelledVectors load_labelled_vectors(const LabelledVectorsOptions& options, const Hooks& hooks,
                                      std::stop_token stop) {
  std::vector<std::string> names = {options.source};
  names.insert(names.end(), options.further.begin(), options.further.end());
  std::vector<SourceKind> kinds;
  for (const std::string& name : names) kinds.push_back(kind_of(name));
  const auto features = [&](std::size_t s) {
    const Store place = Store::open(names[s]);
    return kinds[s] == SourceKind::kResults ? place.at("features") : place;
  };

  FeaturizeOptions featurize_options = options.featurize;
  const bool photos = std::ranges::any_of(
      kinds, [](SourceKind k) { return k == SourceKind::kPhotos || k == SourceKind::kContributions; });
  for (std::size_t s = 0; photos && !featurize_options.loaded && s < names.size(); ++s) {
    if (kinds[s] != SourceKind::kDataset && kinds[s] != SourceKind::kResults) continue;
    const nlohmann::json run = DatasetReader::open(features(s)).run();
    if (!run.is_object() || !run.contains("network") || !run.contains("fingerprint")) continue;
    featurize_options.network = network_of_run(run, options.network_asked);
    break;
  }

  std::shared_ptr<const ScratchFolder> scratch;
  if (photos) scratch = std::make_shared<const ScratchFolder>();
  LabelledVectors data;
  std::vector<SourceRows> sources(names.size());
  for (std::size_t s = 0; s < names.size(); ++s) {
    SourceRows& rows = sources[s];
    const auto place = [&] { return scratch->path() / std::to_string(s); };
    if (kinds[s] == SourceKind::kContributions) {
      std::filesystem::create_directory(place());
      read_contributions(names[s], featurize_options, place(), hooks, stop, rows);
    } else if (kinds[s] == SourceKind::kPhotos) {
      FeaturizeOptions own = featurize_options;
      if (names.size() > 1) own.listing.sources.clear();
      featurize_into(own, names[s], place(), names[s], hooks, stop, rows);
    } else {
      read_vectors(features(s), names[s], rows);
    }
    // Labels are taken when all rows are there; the vectors are not kept twice.
    SourceRows left;
    left.folders = std::move(rows.folders);
    left.own = std::move(rows.own);
    left.data.n = rows.data.n;
    if (options.labels != "folder" && !left.own) left.data.paths = rows.data.paths;
    append(std::move(rows.data), static_cast<int>(s), data, hooks);
    rows = std::move(left);
  }
  data.scratch = std::move(scratch);
  take_labels(options, sources, data);
  if (names.size() > 1) drop_repeated(data, hooks);
  return data;
}

void record_contributions(const LabelledVectors& data, const std::string& kind, const std::string& name,
                          const std::string& sha256) {
  for (const UsedContributions& used : data.contributions) {
    ContributionOptions options;
    options.create = false;
    ContributionStore::open(used.folder, options).record_use(kind, name, sha256, used.ids);
  }
}

}  // namespace pomona
