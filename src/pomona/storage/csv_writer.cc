// SPDX-License-Identifier: Apache-2.0
#include <arrow/io/interfaces.h>

#include <array>
#include <charconv>

#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/dataset_internal.h"

namespace pomona {
namespace {

// RFC 4180. An empty text is quoted, so that it differs from no text.
void append_text(std::string& line, const std::string& text) {
  if (!text.empty() && text.find_first_of("\",\r\n") == std::string::npos) {
    line += text;
    return;
  }
  line += '"';
  for (const char c : text) {
    if (c == '"') line += '"';
    line += c;
  }
  line += '"';
}

void append_optional(std::string& line, const std::optional<std::string>& text) {
  line += ',';
  if (text) append_text(line, *text);
}

class CsvWriter final : public BlockWriter {
 public:
  CsvWriter(std::shared_ptr<arrow::io::OutputStream> stream, const Schema& schema)
      : stream_(std::move(stream)), schema_(schema) {
    text_ = "path";
    if (schema_.labels) text_ += ",label";
    if (schema_.splits) text_ += ",split";
    if (schema_.csv_packed) {
      text_ += "," + schema_.vector_column;
    } else {
      const char letter = schema_.vector_column == "components" ? 'c' : 'f';
      for (int i = 0; i < schema_.d; ++i) {
        text_ += ',';
        text_ += letter;
        text_ += std::to_string(i);
      }
    }
    text_ += "\n";
    flush();
  }

  void write(const Block& block) override {
    const auto d = static_cast<std::size_t>(schema_.d);
    for (std::size_t row = 0; row < block.rows.size(); ++row) {
      const RowInfo& info = block.rows[row];
      append_text(text_, info.path);
      if (schema_.labels) append_optional(text_, info.label);
      if (schema_.splits) append_optional(text_, info.split);
      if (schema_.csv_packed) {
        text_ += ",\"[";
        const std::size_t first = text_.size();
        append_floats(block.vectors.data() + row * d, d);
        text_.erase(first, 1);  // the comma before the first number
        text_ += "]\"";
      } else {
        append_floats(block.vectors.data() + row * d, d);
      }
      text_ += '\n';
      if (text_.size() >= (1 << 20)) flush();
    }
    flush();
  }

  void close() override { check(stream_->Close(), "cannot write"); }

 private:
  // The shortest text that reads back as the same float.
  void append_floats(const float* values, std::size_t count) {
    constexpr std::size_t kLongest = 17;  // a comma and "-1.17549435e-38"
    std::size_t at = text_.size();
    text_.resize(at + count * kLongest);
    for (std::size_t i = 0; i < count; ++i) {
      text_[at++] = ',';
      at = static_cast<std::size_t>(
          std::to_chars(text_.data() + at, text_.data() + at + kLongest - 1, values[i]).ptr - text_.data());
    }
    text_.resize(at);
  }

  void flush() {
    check(stream_->Write(text_), "cannot write");
    text_.clear();
  }

  std::shared_ptr<arrow::io::OutputStream> stream_;
  Schema schema_;
  std::string text_;
};

}  // namespace

std::unique_ptr<BlockWriter> make_csv_writer(std::shared_ptr<arrow::io::OutputStream> stream,
                                             const Schema& schema) {
  return std::make_unique<CsvWriter>(std::move(stream), schema);
}

}  // namespace pomona
