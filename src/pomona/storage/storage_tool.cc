// SPDX-License-Identifier: Apache-2.0
// A tool for tests: storage as the engine uses it, one operation a call.
//   list SOURCE [LIMIT]     JSON lines of entries      read PATH...     size or reject, a line each
//   cat URI NAME            ls URI [FOLDER]            put URI NAME TEXT
//   mv URI FROM TO          rm URI NAME                rmdir URI FOLDER
//   dataset URI FORMAT      writes a small one         show URI         rows of one as JSON lines
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "pomona/base/text.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/reader.h"

namespace pomona {
namespace {

void list(const std::vector<std::string>& words) {
  ListingOptions options;
  options.sources = {words.at(1)};
  if (words.size() > 2) options.limit = std::stoull(words[2]);
  const PhotoReader reader;
  std::vector<std::byte> bytes;
  list_photos(options, [&](Entry&& entry) {
    const auto outcome = reader.read(entry, bytes);
    std::cout << nlohmann::json{{"path", escape_path(entry.path)},
                                {"bytes", entry.bytes},
                                {"mtime_ns", entry.mtime_ns},
                                {"hash", outcome ? to_hex(content_hash(bytes)) : ""},
                                {"reject", outcome ? "" : outcome.error().reason}}
                     .dump()
              << '\n';
    return true;
  });
}

void read(const std::vector<std::string>& words) {
  const PhotoReader reader;
  std::vector<std::byte> bytes;
  for (std::size_t i = 1; i < words.size(); ++i) {
    Entry entry;
    entry.path = words[i];
    // "PATH=SIZE": as if listed with that size.
    if (const auto mark = words[i].rfind('='); mark != std::string::npos) {
      entry.path = words[i].substr(0, mark);
      entry.bytes = std::stoll(words[i].substr(mark + 1));
    }
    const auto outcome = reader.read(entry, bytes);
    std::cout << (outcome ? std::to_string(bytes.size()) : outcome.error().reason) << '\n';
  }
}

// 20 rows in two parts; row i has path "i.jpg", label "even"/none, features sin(i + k) for k < 8; one reject.
void write_dataset(const Store& dest, Format format) {
  Schema schema;
  schema.d = 8;
  schema.labels = true;
  schema.format = format;
  const std::string run = new_run_id();
  begin_run(dest, run, {{"by", "test"}});
  std::vector<PartRecord> records;
  for (int part = 0; part < 2; ++part) {
    PartWriter writer(dest, schema, run, static_cast<std::uint64_t>(part));
    Block block;
    for (int i = part * 10; i < part * 10 + 10; ++i) {
      RowInfo row;
      row.path = std::to_string(i) + ".jpg";
      if (i % 2 == 0) row.label = "even, \"yes\"";
      row.width = i;
      row.height = 2 * i;
      row.hash.fill(static_cast<std::uint8_t>(i));
      block.rows.push_back(std::move(row));
      for (int k = 0; k < 8; ++k) block.vectors.push_back(static_cast<float>(std::sin(i + k)));
    }
    if (part == 0) block.rejects.push_back({"bad%FF.jpg", "bad\xff.jpg", "decode", "truncated", 3});
    writer.write(block);
    records.push_back(writer.finish({}));
  }
  finish_run(dest, {{"by", "test"}}, records);
}

void show(const Store& dest) {
  const auto reader = DatasetReader::open(dest);
  reader.read(true, [&](Block&& block) {
    for (std::size_t i = 0; i < block.rows.size(); ++i) {
      const auto d = static_cast<std::size_t>(reader.schema().d);
      nlohmann::json row = {{"path", block.rows[i].path}, {"width", block.rows[i].width}};
      row["label"] = block.rows[i].label ? nlohmann::json(*block.rows[i].label) : nlohmann::json();
      row["vector"] = std::vector<float>(block.vectors.begin() + static_cast<std::ptrdiff_t>(i * d),
                                         block.vectors.begin() + static_cast<std::ptrdiff_t>((i + 1) * d));
      std::cout << row.dump() << '\n';
    }
    return true;
  });
}

void run(const std::vector<std::string>& words) {
  const std::string& verb = words.at(0);
  if (verb == "list") return list(words);
  if (verb == "read") return read(words);
  const Store store = Store::open(words.at(1));
  if (verb == "cat") std::cout << store.read(words.at(2));
  if (verb == "put") store.write(words.at(2), words.at(3));
  if (verb == "mv") store.rename(words.at(2), words.at(3));
  if (verb == "rm") store.remove(words.at(2));
  if (verb == "rmdir") store.remove_folder(words.size() > 2 ? words[2] : "");
  if (verb == "dataset") write_dataset(store, parse_format(words.at(2)));
  if (verb == "remove-dataset") remove_dataset(store);
  if (verb == "show") show(store);
  if (verb == "ls") {
    for (const std::string& name : store.list(words.size() > 2 ? words[2] : "")) std::cout << name << '\n';
  }
}

}  // namespace
}  // namespace pomona

int main(int argc, char** argv) {
  try {
    pomona::run({argv + 1, argv + argc});
    return 0;
  } catch (const pomona::Error& error) {
    std::cerr << pomona::to_string(error.code()) << ": " << error.what() << '\n';
  } catch (const std::exception& error) {
    std::cerr << "usage: " << error.what() << '\n';
  }
  return 1;
}
