// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pomona {

// Labels from a CSV or Parquet table keyed by path or file name. Immutable once read; thread-safe.
class LabelTable {
 public:
  // `spec` is FILE[:COLUMN,COLUMN...]. The key column is the first called path, file, filename, name, image
  // or photo, else the first column; without columns named, all others are targets. Throws Error{kNotFound |
  // kFormat | kUsage} that names the file, and the columns there are.
  static LabelTable read(const std::string& spec);

  // The columns that `spec` names behind its colon; empty for a spec without, and for "folder" and "none".
  static std::vector<std::string> named_columns(const std::string& spec);

  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t size() const { return rows_.size(); }
  const std::string& sha256() const { return sha256_; }

  // The labels of a photo, one per column (none where the cell is empty): by its whole path, else by the
  // longest end of it that the table holds, down to the file name. Null where the table has no such photo.
  const std::vector<std::optional<std::string>>* find(std::string_view path) const;

 private:
  std::vector<std::string> columns_;
  std::unordered_map<std::string, std::vector<std::optional<std::string>>> rows_;
  std::string sha256_;
};

}  // namespace pomona
