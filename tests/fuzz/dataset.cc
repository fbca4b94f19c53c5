// SPDX-License-Identifier: Apache-2.0
// Datasets as others hand them over: parts as Parquet and CSV, rejects, `_run.json`, records of parts of a
// run that was not finished, chunks of a listing. Input: a byte that says which file it is, the file.
#include <array>

#include "fuzz.h"
#include "pomona/distributed/listing_chunk.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/dataset_internal.h"

using namespace pomona;

namespace {

constexpr std::string_view kRunId = "0123456789abcdef";
constexpr std::string_view kCsv = "path,f0,f1\na.jpg,1,2\n";

void read_all(const Store& store, bool require_success) {
  const DatasetReader reader = DatasetReader::open(store, require_success);
  std::uint64_t rows = 0;
  for (const bool vectors : {true, false}) {
    reader.read(vectors, [&](Block&& block) {
      rows += block.rows.size();
      if (vectors) {
        fuzz::require(block.vectors.size() == block.rows.size() * static_cast<std::size_t>(reader.schema().d),
                      "a block whose vectors are not rows x d");
      }
      return rows < 100'000;
    });
  }
  for (std::size_t part = 0; part < reader.parts().size(); ++part) {
    if (reader.row_groups(part) > 0) static_cast<void>(reader.read_row_group(part, 0, true));
  }
  static_cast<void>(reader.rejects());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t kind = input.byte() % 6;
  fuzz::clear_scratch();
  const std::string folder = fuzz::scratch().string() + "/d";
  const std::string run = std::string(kRunId);
  const auto put = [&](const std::string& name, std::string_view bytes) {
    fuzz::write_scratch("d/" + name, bytes);
  };
  switch (kind) {
    case 0:
      put("part-00000.parquet", input.text());
      break;
    case 1:
      put("part-00000.csv", input.text());
      break;
    case 2:
      put("part-00000-" + run + ".csv", kCsv);
      put("_run.json", input.text());
      put("_SUCCESS", "");
      break;
    case 3:
      put("part-00000-" + run + ".csv", kCsv);
      put("_temporary/" + run + "/run.json", "{}");
      put("_temporary/" + run + "/part-00000.json", input.text());
      break;
    case 4:
      put("rejects.parquet", input.text());
      fuzz::accepts([&] { static_cast<void>(read_rejects(Store::open(folder), "rejects.parquet")); });
      return 0;
    default:
      put("chunk.parquet", input.text());
      for (const std::array<std::uint64_t, 2> range :
           {std::array<std::uint64_t, 2>{0, 3}, {1, 1}, {0, 1'000'000}}) {
        fuzz::accepts([&] {
          distributed::read_listing_chunk(Store::open(folder), "chunk.parquet", range[0], range[1],
                                          [](Entry&&) {});
        });
      }
      return 0;
  }
  fuzz::accepts([&] { read_all(Store::open(folder), kind != 3); });
  if (kind == 3) {
    fuzz::accepts([&] { static_cast<void>(find_unfinished(Store::open(folder))); });
  }
  return 0;
}
