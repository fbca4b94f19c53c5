// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/label_table.h"

#include <algorithm>
#include <array>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/storage/store.h"
#include "pomona/storage/string_table.h"

namespace pomona {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    if (end > begin) names.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

bool is_port(std::string_view text) {
  const std::string_view digits = text.substr(0, text.find('&'));
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

// FILE[:COLUMNS]: the colon of a scheme, of a drive or before a port in a URI's options is not ours.
std::pair<std::string, std::vector<std::string>> split_spec(const std::string& spec) {
  const auto colon = spec.rfind(':');
  if (is_remote_uri(spec) && colon > spec.find('?') && is_port(std::string_view(spec).substr(colon + 1)))
    return {spec, {}};
  if (colon == std::string::npos || spec.compare(colon, 3, "://") == 0 ||
      spec.find('/', colon) != std::string::npos) {
    return {spec, {}};
  }
  return {spec.substr(0, colon), split_commas(spec.substr(colon + 1))};
}

std::size_t key_column(const std::vector<std::string>& names) {
  static constexpr std::array<std::string_view, 7> kKeys = {"path", "file",  "filename", "file_name",
                                                            "name", "image", "photo"};
  for (const std::string_view key : kKeys) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (lower_case(names[i]) == key) return i;
    }
  }
  return 0;
}

}  // namespace

std::vector<std::string> LabelTable::named_columns(const std::string& spec) {
  return split_spec(spec).second;
}

LabelTable LabelTable::read(const std::string& spec) {
  const auto [file, wanted] = split_spec(spec);
  const StringTable table = read_string_table(file);
  LabelTable labels;
  labels.sha256_ = table.sha256;
  const std::size_t key = key_column(table.names);
  std::vector<std::size_t> targets;
  if (wanted.empty()) {
    for (std::size_t i = 0; i < table.names.size(); ++i) {
      if (i != key) targets.push_back(i);
    }
  }
  for (const std::string& name : wanted) {
    const auto at = std::ranges::find(table.names, name);
    if (at == table.names.end()) {
      throw Error(ErrorCode::kUsage, file + " has no column '" + name + "'. It has: " + joined(table.names));
    }
    targets.push_back(static_cast<std::size_t>(at - table.names.begin()));
  }
  if (targets.empty()) {
    throw Error(ErrorCode::kFormat, file + " has no column of labels beside '" +
                                        (table.names.empty() ? "" : table.names[key]) + "'");
  }
  for (const std::size_t target : targets) labels.columns_.push_back(table.names[target]);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto& name = table.columns[key][row];
    if (!name) continue;
    std::vector<std::optional<std::string>> values;
    for (const std::size_t target : targets) values.push_back(table.columns[target][row]);
    // As `find .` writes them.
    std::string_view path = *name;
    while (path.starts_with("./")) path.remove_prefix(2);
    const auto [at, fresh] = labels.rows_.try_emplace(std::string(path), values);
    if (!fresh && at->second != values) {
      throw Error(ErrorCode::kFormat, file + " gives '" + *name + "' two different labels (again in row " +
                                          std::to_string(row + 2) +
                                          "). Use longer paths as keys, or mend the table.");
    }
  }
  if (labels.rows_.empty()) throw Error(ErrorCode::kFormat, file + " has no rows");
  return labels;
}

const std::vector<std::optional<std::string>>* LabelTable::find(std::string_view path) const {
  for (std::string_view rest = path;;) {
    if (const auto at = rows_.find(std::string(rest)); at != rows_.end()) return &at->second;
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) return nullptr;
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace pomona
