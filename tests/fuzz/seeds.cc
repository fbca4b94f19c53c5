// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of formats that our own code writes: fuzz_seeds FOLDER. make_seeds.py calls it.
#include <onnx/onnx_pb.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "fuzz.h"
#include "pomona/base/paths.h"
#include "pomona/distributed/job.h"
#include "pomona/distributed/listing_chunk.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/moments.h"
#include "pomona/learn/pca.h"
#include "pomona/model/tiny_network.h"
#include "pomona/storage/dataset.h"
#include "tiny_model.h"

using namespace pomona;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChecksum = 8;  // bytes at the end of learn's files; the target adds them

class Seeds {
 public:
  explicit Seeds(fs::path folder) : folder_(std::move(folder)) {}

  // `choices` is the byte a target takes off the front; -1 = none.
  void add(const std::string& target, const std::string& name, int choices, std::string_view bytes) const {
    std::string seed;
    if (choices >= 0) seed += static_cast<char>(choices);
    seed += bytes;
    write_file_atomically(folder_ / target / name, seed);
  }

 private:
  fs::path folder_;
};

std::string without_checksum(const std::string& bytes) {
  return bytes.substr(0, bytes.size() - kChecksum);
}

void write_learn(const Seeds& seeds, const ModelFile& model) {
  seeds.add("learn_files", "pca", 0, without_checksum(model.pca->serialize()));
  seeds.add("learn_files", "linear", 1, without_checksum(model.targets[0].classifier.serialize()));
  seeds.add("learn_files", "forest", 1, without_checksum(model.targets[1].classifier.serialize()));
  Moments moments(4);
  const std::vector<float> x = {1, 2, 3, 4, 2, 1, 0, 5, 7, 1, 1, 2, 0, 3, 2, 2, 1, 1, 4, 0};
  moments.add(x, 5);
  seeds.add("learn_files", "moments", 2, without_checksum(moments.serialize()));
}

// One finished dataset: its part, its rejects and its `_run.json`.
void write_dataset(const Seeds& seeds, Format format, bool packed) {
  fuzz::clear_scratch();
  const Store store = Store::open((fuzz::scratch() / "dataset").string());
  Schema schema;
  schema.d = 4;
  schema.labels = schema.splits = true;
  schema.format = format;
  schema.csv_packed = packed;
  const std::string run = "0123456789abcdef";
  begin_run(store, run, {{"options", {{"batch", 8}}}});
  PartWriter writer(store, schema, run, 0);
  for (int block = 0; block < 2; ++block) {
    Block rows;
    for (int i = 0; i < 3; ++i) {
      RowInfo row;
      row.path = "Training/kiwi/" + std::to_string(i) + ".jpg";
      if (i > 0) row.label = "kiwi";
      row.split = "Training";
      row.width = row.height = 100;
      row.hash[0] = static_cast<std::uint8_t>(i);
      rows.rows.push_back(row);
      for (int k = 0; k < schema.d; ++k) rows.vectors.push_back(static_cast<float>(i * k));
    }
    rows.rejects.push_back({"broken.jpg", "", "decode", "it is cut short", 17});
    writer.write(rows);
  }
  const PartRecord part = writer.finish({{"digest", "abc"}});
  const std::string record = store.read("_temporary/" + run + "/part-00000.json");
  finish_run(store, {{"run_id", run}, {"schema", {{"d", 4}}}, {"counts", {{"rows", 6}}}}, {part});
  const std::string name = std::string(to_string(format)) + (packed ? "_packed" : "");
  seeds.add("dataset", name, format == Format::kParquet ? 0 : 1, store.read(part.file));
  if (format == Format::kCsv) return;
  seeds.add("dataset", "rejects", 4, store.read(part.rejects_file));
  seeds.add("dataset", "run_record", 2, store.read("_run.json"));
  seeds.add("dataset", "part_record", 3, record);
  seeds.add("tables", "dataset", 0, store.read(part.file));
  seeds.add("records", "part", 5, record);
}

void write_listing(const Seeds& seeds) {
  fuzz::clear_scratch();
  const Store store = Store::open(fuzz::scratch().string());
  distributed::ListingChunkWriter writer(store, "chunk.parquet");
  for (int i = 0; i < 4; ++i) {
    Entry entry;
    entry.path = "a/" + std::to_string(i) + ".jpg";
    entry.bytes = 100 + i;
    writer.add(entry);
  }
  writer.close();
  seeds.add("dataset", "chunk", 5, store.read("chunk.parquet"));
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  const Seeds seeds{words[1]};
  const ModelFile model = fuzz::tiny_model();
  const std::string bytes = serialize_model_file(model);
  seeds.add("model_file", "tiny", -1, bytes);
  seeds.add("onnx_graph", "tiny_model", -1, bytes);
  seeds.add("onnx_graph", "tiny_network", -1, testing::tiny_network().SerializeAsString());
  write_learn(seeds, model);
  write_dataset(seeds, Format::kParquet, false);
  write_dataset(seeds, Format::kCsv, false);
  write_dataset(seeds, Format::kCsv, true);
  write_listing(seeds);
  seeds.add("records", "preprocess", 6, to_json(model.backbone.preprocess).dump());
  seeds.add("records", "fingerprint", 7, to_json(model.backbone.fingerprint).dump());
  Schema schema;
  seeds.add("records", "schema", 4, distributed::to_json(schema).dump());
  RunOptions run;
  run.featurize.listing.sources = {"photos"};
  run.dest = "out";
  seeds.add("records", "job", 3, distributed::to_json(distributed::job_of(run)).dump());
  return 0;
}
