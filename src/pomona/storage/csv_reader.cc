// SPDX-License-Identifier: Apache-2.0
#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>

#include <algorithm>
#include <charconv>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

constexpr std::int64_t kPiece = 1 << 20;
constexpr std::size_t kLongestRecord = 64 << 20;
constexpr std::size_t kBlockRows = 1024;
constexpr std::size_t kBlockFloats = 4 << 20;

// RFC 4180 records of a file, read in pieces. Not thread-safe.
class CsvRecords {
 public:
  struct Field {
    std::string text;
    bool quoted = false;
  };

  CsvRecords(std::shared_ptr<arrow::io::RandomAccessFile> file, std::string what)
      : file_(std::move(file)), what_(std::move(what)) {}

  // The next record's fields in fields()[0 .. count()); false at the end of the file.
  bool next() {
    count_ = 0;
    begin_field();
    bool in_quotes = false;
    bool any = false;
    std::size_t length = 0;
    for (;;) {
      if (at_ == piece_.size() && !refill()) {
        if (in_quotes) throw Error(ErrorCode::kFormat, what_ + ": it ends inside quotes");
        return any;
      }
      const char c = piece_[at_++];
      if (++length > kLongestRecord)
        throw Error(ErrorCode::kFormat, what_ + ": a line is longer than 64 MiB");
      Field& field = fields_[count_ - 1];
      any = true;
      if (in_quotes) {
        if (c != '"') {
          field.text += c;
        } else if (peek() == '"') {
          field.text += '"';
          ++at_;
        } else {
          in_quotes = false;
        }
      } else if (c == ',') {
        begin_field();
      } else if (c == '\n') {
        return true;
      } else if (c == '"' && field.text.empty() && !field.quoted) {
        in_quotes = field.quoted = true;
      } else if (c != '\r' || peek() != '\n') {
        field.text += c;
      }
    }
  }

  std::size_t count() const { return count_; }
  const Field& operator[](std::size_t i) const { return fields_[i]; }

 private:
  void begin_field() {
    if (count_ == fields_.size()) fields_.emplace_back();
    fields_[count_].text.clear();
    fields_[count_].quoted = false;
    ++count_;
  }

  char peek() { return at_ < piece_.size() || refill() ? piece_[at_] : '\0'; }

  bool refill() {
    const auto buffer = take(file_->ReadAt(offset_, kPiece), what_);
    if (buffer->size() == 0) return false;
    offset_ += buffer->size();
    piece_.assign(reinterpret_cast<const char*>(buffer->data()), static_cast<std::size_t>(buffer->size()));
    at_ = 0;
    return true;
  }

  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  std::string what_;
  std::int64_t offset_ = 0;
  std::string piece_;
  std::size_t at_ = 0;
  std::vector<Field> fields_;
  std::size_t count_ = 0;
};

// How many numbers stand in "[0.1,0.2]".
int packed_length(std::string_view text) {
  if (text.find_first_not_of("[] ") == std::string_view::npos) return 0;
  return static_cast<int>(std::ranges::count(text, ',')) + 1;
}

// f0, f1, ... or c0, c1, ...
bool is_vector_name(std::string_view name, char letter, int number) {
  return name == letter + std::to_string(number);
}

class CsvReader final : public BlockReader {
 public:
  CsvReader(const Store& store, const std::string& name)
      : what_("cannot read " + escape_path(store.uri() + "/" + name)), file_(store.open_file(name)) {
    CsvRecords records(file_, what_);
    if (!records.next()) throw Error(ErrorCode::kFormat, what_ + ": it has no header line");
    columns_ = records.count();
    schema_.format = Format::kCsv;
    schema_.vector_column.clear();
    for (std::size_t i = 0; i < columns_; ++i) {
      std::string_view column = records[i].text;
      // As Excel begins a file.
      if (i == 0 && column.starts_with("\xEF\xBB\xBF")) column.remove_prefix(3);
      if (column == "path") path_ = i;
      if (column == "label") label_ = i, schema_.labels = true;
      if (column == "split") split_ = i, schema_.splits = true;
      if (schema_.d == 0 && (is_vector_name(column, 'f', 0) || is_vector_name(column, 'c', 0))) {
        schema_.vector_column = column == "c0" ? "components" : "features";
        first_ = i;
        schema_.d = 1;
      } else if (schema_.d > 0 && i == first_ + static_cast<std::size_t>(schema_.d) &&
                 is_vector_name(column, schema_.vector_column == "components" ? 'c' : 'f', schema_.d)) {
        ++schema_.d;
      }
    }
    if (schema_.d == 0) take_packed_column(records);
    if (schema_.vector_column.empty()) {
      throw Error(ErrorCode::kFormat,
                  what_ +
                      ": its header has no columns f0, f1, ... (or c0, c1, ...) and no column features "
                      "(or components)");
    }
  }

  const Schema& schema() const override { return schema_; }

  std::uint64_t rows() const override {
    CsvRecords records(file_, what_);
    std::uint64_t lines = 0;
    while (records.next()) ++lines;
    return lines == 0 ? 0 : lines - 1;
  }

  bool read_groups(std::size_t /*first*/, std::size_t /*last*/, bool with_vectors,
                   const std::function<bool(Block&&)>& sink) const override {
    CsvRecords records(file_, what_);
    records.next();
    const auto d = static_cast<std::size_t>(schema_.d);
    Block block;
    for (std::uint64_t line = 1; records.next(); ++line) {
      if (records.count() != columns_) {
        throw Error(ErrorCode::kFormat, what_ + ": row " + std::to_string(line) + " has " +
                                            std::to_string(records.count()) + " fields, the header has " +
                                            std::to_string(columns_));
      }
      RowInfo row;
      if (path_) row.path = records[*path_].text;
      if (label_) row.label = optional(records[*label_]);
      if (split_) row.split = optional(records[*split_]);
      block.rows.push_back(std::move(row));
      if (with_vectors) {
        if (schema_.csv_packed) {
          append_packed(records[first_].text, line, block.vectors);
        } else {
          for (std::size_t i = 0; i < d; ++i) {
            block.vectors.push_back(number(records[first_ + i].text, line));
          }
        }
      }
      if (block.rows.size() >= kBlockRows || block.vectors.size() >= kBlockFloats) {
        if (!sink(std::move(block))) return false;
        block = {};
      }
    }
    return block.rows.empty() || sink(std::move(block));
  }

 private:
  static std::optional<std::string> optional(const CsvRecords::Field& field) {
    if (field.text.empty() && !field.quoted) return std::nullopt;
    return field.text;
  }

  // A column features or components holds lists; the first row says how long they are.
  void take_packed_column(CsvRecords& records) {
    for (std::size_t i = 0; i < columns_; ++i) {
      const std::string& column = records[i].text;
      if (column != "features" && column != "components") continue;
      schema_.vector_column = column;
      schema_.csv_packed = true;
      first_ = i;
      break;
    }
    if (schema_.csv_packed && records.next() && records.count() == columns_) {
      schema_.d = packed_length(records[first_].text);
    }
  }

  void append_packed(const std::string& text, std::uint64_t line, std::vector<float>& to) const {
    if (!text.starts_with('[') || !text.ends_with(']') || packed_length(text) != schema_.d) {
      throw Error(ErrorCode::kFormat, what_ + ": row " + std::to_string(line) + " does not have a list of " +
                                          std::to_string(schema_.d) + " numbers in brackets");
    }
    const char* at = text.data() + 1;
    const char* const end = text.data() + text.size() - 1;
    for (int i = 0; i < schema_.d; ++i) {
      while (at != end && *at == ' ') ++at;
      float value = 0;
      const auto result = std::from_chars(at, end, value);
      if (result.ec != std::errc() || (result.ptr != end && *result.ptr != ',')) {
        throw Error(ErrorCode::kFormat, what_ + ": row " + std::to_string(line) +
                                            " has something else than a number in its list, at number " +
                                            std::to_string(i));
      }
      to.push_back(value);
      at = result.ptr == end ? end : result.ptr + 1;
    }
  }

  float number(const std::string& text, std::uint64_t line) const {
    float value = 0;
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end) {
      throw Error(ErrorCode::kFormat, what_ + ": row " + std::to_string(line) + " has '" +
                                          escape_path(text.substr(0, 40)) + "' for a number");
    }
    return value;
  }

  std::string what_;
  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  Schema schema_;
  std::size_t columns_ = 0;
  std::size_t first_ = 0;
  std::optional<std::size_t> path_, label_, split_;
};

}  // namespace

std::unique_ptr<BlockReader> open_csv(const Store& store, const std::string& name) {
  return std::make_unique<CsvReader>(store, name);
}

}  // namespace pomona
