// SPDX-License-Identifier: Apache-2.0
// Tables of labels and lists of paths that people bring. Input: a byte of choices, the file.
#include "fuzz.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/string_table.h"

using namespace pomona;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choices = input.byte();
  const std::string file = fuzz::write_scratch("table", input.text()).string();
  if (choices % 4 == 3) {
    ListingOptions options;
    options.paths_from = file;
    if ((choices & 4) != 0) options.glob = "*.{jpg,png}";
    fuzz::accepts([&] { list_photos(options, [](Entry&&) { return true; }); });
    return 0;
  }
  fuzz::accepts([&] {
    const StringTable table = read_string_table(file);
    fuzz::require(table.names.size() == table.columns.size(), "columns without names");
    for (const auto& column : table.columns) {
      fuzz::require(column.size() == table.rows(), "columns of different lengths");
    }
  });
  fuzz::accepts([&] {
    const LabelTable labels = LabelTable::read((choices & 1) != 0 ? file + ":label" : file);
    labels.find("a/b/c.jpg");
  });
  return 0;
}
