// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/text.h"
#include "pomona/storage/dataset_internal.h"
#include "pomona/storage/hashing_stream_internal.h"

namespace pomona {

struct PartWriter::Impl {
  Store dest;
  Schema schema;
  std::string run_id;
  std::string file_id;
  std::uint64_t index;
  std::string growing;  // name below DEST while it grows
  std::shared_ptr<HashingStream> stream;
  std::unique_ptr<BlockWriter> writer;
  std::vector<RejectRow> rejects;
  std::uint64_t rows = 0;
  bool dead = false;  // an error ended it, or it is finished

  Impl(const Store& store, const Schema& columns, const std::string& run, std::uint64_t at,
       const std::string& file)
      : dest(store), schema(columns), run_id(run), file_id(file.empty() ? run : file), index(at) {
    if (!is_run_id(run_id) || !is_run_id(file_id))
      throw Error(ErrorCode::kUsage, "a run id has 16 hex digits");
    if (schema.d <= 0) throw Error(ErrorCode::kUsage, "a dataset needs vectors of at least one number");
    growing = file_name();
    // An object shows only when it is whole: there is no need to write it elsewhere and copy it.
    if (!dest.appears_when_closed()) growing = run_folder(run_id) + "/" + growing;
  }

  ~Impl() { abandon(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::string file_name() const { return part_name(index, file_id, schema.format); }

  // Runs `step`; where it fails, gives the part up and says what remains.
  template <typename Step>
  void guarded(Step step) {
    try {
      step();
    } catch (const Error& error) {
      abandon();
      throw Error(error.code() == ErrorCode::kFormat ? ErrorCode::kIo : error.code(),
                  std::string(error.what()) + " (part " + std::to_string(index) + " of " +
                      escape_path(dest.uri()) +
                      "). Finished parts are kept: mend the cause and run again with --resume");
    } catch (...) {
      abandon();
      throw;
    }
  }

  void open() {
    stream = std::make_shared<HashingStream>(dest.create(growing));
    writer =
        schema.format == Format::kCsv ? make_csv_writer(stream, schema) : make_parquet_writer(stream, schema);
  }

  // Leaves nothing behind, as far as the store still answers.
  void abandon() noexcept {
    dead = true;
    if (!stream) return;
    try {
      static_cast<void>(stream->Abort());
      writer.reset();
      stream.reset();
      dest.remove(growing);
    } catch (...) {
      // The store is dead: what is under `_temporary` goes with the next run.
      stream.reset();
    }
  }
};

PartWriter::PartWriter(const Store& dest, const Schema& schema, const std::string& run_id,
                       std::uint64_t index, const std::string& file_id)
    : impl_(std::make_unique<Impl>(dest, schema, run_id, index, file_id)) {}

PartWriter::~PartWriter() = default;
PartWriter::PartWriter(PartWriter&&) noexcept = default;

void PartWriter::write(const Block& block) {
  Impl& part = *impl_;
  if (part.dead) throw Error(ErrorCode::kInternal, "a part was written to after its end");
  if (block.vectors.size() != block.rows.size() * static_cast<std::size_t>(part.schema.d)) {
    throw Error(ErrorCode::kInternal, "a block's vectors do not fit its rows");
  }
  part.guarded([&] {
    if (!block.rows.empty()) {
      if (!part.writer) part.open();
      part.writer->write(block);
    }
  });
  part.rows += block.rows.size();
  part.rejects.insert(part.rejects.end(), block.rejects.begin(), block.rejects.end());
}

PartRecord PartWriter::finish(nlohmann::json extra) {
  Impl& part = *impl_;
  if (part.dead) throw Error(ErrorCode::kInternal, "a part was ended twice");
  PartRecord record;
  record.index = part.index;
  record.rows = part.rows;
  record.rejected = part.rejects.size();
  record.extra = std::move(extra);
  part.guarded([&] {
    if (part.writer) {
      part.writer->close();
      record.file = part.file_name();
      record.bytes = part.stream->bytes();
      record.sha256 = part.stream->sha256();
      if (part.growing != record.file) part.dest.rename(part.growing, record.file);
      part.writer.reset();
      part.stream.reset();
    }
    if (!part.rejects.empty()) {
      record.rejects_file = rejects_name(part.index, part.file_id);
      const bool direct = part.dest.appears_when_closed();
      const std::string growing =
          direct ? record.rejects_file : run_folder(part.run_id) + "/rejects-" + part.file_name();
      const auto stream = part.dest.create(growing);
      try {
        write_rejects(stream, part.rejects);
      } catch (...) {
        static_cast<void>(stream->Abort());
        throw;
      }
      if (!direct) part.dest.rename(growing, record.rejects_file);
    }
    part.dest.write(record_name(part.index, part.run_id), to_json(record).dump());
  });
  part.dead = true;
  return record;
}

void publish_staged(const Store& dest, const std::string& staged, const std::string& run_id,
                    const PartRecord& record) {
  for (const std::string& name : {record.file, record.rejects_file}) {
    if (name.empty()) continue;
    const std::string from = staged + "/" + name;
    // Whoever did this before us may have come as far as this file, but not to the record.
    if (dest.size(from) < 0 && dest.exists(name)) continue;
    dest.rename(from, name);
  }
  dest.write(record_name(record.index, run_id), to_json(record).dump());
}

}  // namespace pomona
