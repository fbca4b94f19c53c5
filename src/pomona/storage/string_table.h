// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pomona {

// A small table as text: what people keep labels in. Column-major.
struct StringTable {
  std::vector<std::string> names;
  std::vector<std::vector<std::optional<std::string>>> columns;  // empty cells and NULL are none
  std::string sha256;                                            // of the file

  std::size_t rows() const { return columns.empty() ? 0 : columns.front().size(); }
};

// Reads a CSV (one header line, RFC 4180 quoting) or Parquet file, local or remote, judged by its first
// bytes. Numbers, booleans and dates become their usual text; a NaN in a number column is an error that names
// column and row. Throws Error{kNotFound | kFormat | kIo}.
StringTable read_string_table(const std::string& uri);

}  // namespace pomona
