// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/predictions_dataset.h"

#include <arrow/builder.h>
#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/table_builder.h>
#include <arrow/type.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include "pomona/base/error.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/hashing_stream_internal.h"
#include "pomona/storage/hold_place.h"

namespace pomona {
namespace {

constexpr std::int64_t kGroupRows = 16384;

std::shared_ptr<arrow::DataType> top_type() {
  return arrow::list(
      arrow::struct_({arrow::field("label", arrow::utf8()), arrow::field("probability", arrow::float32())}));
}

std::shared_ptr<arrow::Schema> schema_of(const std::vector<Target>& targets) {
  arrow::FieldVector fields = {arrow::field("path", arrow::utf8(), false),
                               arrow::field("width", arrow::int32()), arrow::field("height", arrow::int32())};
  for (std::size_t t = 0; t < targets.size(); ++t) {
    const std::string suffix = t == 0 ? "" : "_" + targets[t].name;
    fields.push_back(arrow::field("label" + suffix, arrow::utf8()));
    fields.push_back(arrow::field("probability" + suffix, arrow::float32()));
    fields.push_back(arrow::field("confident" + suffix, arrow::boolean()));
    fields.push_back(arrow::field("top" + suffix, top_type()));
  }
  for (const char* name : {"unknown", "distance", "stage", "reason"}) {
    const std::string text(name);
    fields.push_back(arrow::field(text, text == "unknown"    ? arrow::boolean()
                                        : text == "distance" ? arrow::float32()
                                                             : arrow::utf8()));
  }
  return arrow::schema(std::move(fields));
}

}  // namespace

struct PredictionsWriter::Impl {
  Impl(const std::string& uri, const Predictor& predictor, int named)
      : dest(Store::open(uri)),
        targets(predictor.model().targets),
        fingerprint(predictor.model().backbone.fingerprint),
        top(static_cast<std::size_t>(named)),
        schema(schema_of(targets)) {}

  template <typename Builder>
  Builder& column(int index) {
    return static_cast<Builder&>(*builder->GetField(index));
  }

  void flush() {
    if (rows == 0) return;
    const auto batch = take(builder->Flush(), what);
    check(writer->NewBufferedRowGroup(), what);
    check(writer->WriteRecordBatch(*batch), what);
    rows = 0;
  }

  Store dest;
  std::string what = "cannot write the answers to " + dest.uri();
  std::vector<Target> targets;
  Fingerprint fingerprint;
  std::size_t top;
  std::shared_ptr<arrow::Schema> schema;
  std::string run_id = new_run_id();
  std::string file;
  std::unique_ptr<arrow::RecordBatchBuilder> builder;
  std::shared_ptr<HashingStream> stream;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
  std::int64_t rows = 0;
  std::uint64_t written = 0;
  std::uint64_t rejected = 0;
  bool finished = false;
  std::shared_ptr<const void> held;
};

PredictionsWriter::PredictionsWriter(const std::string& dest, const Predictor& predictor, int top,
                                     bool overwrite)
    : impl_(std::make_unique<Impl>(dest, predictor, top)) {
  Impl& own = *impl_;
  own.held = hold_place(own.dest);
  const DatasetState state = dataset_state(own.dest);
  if (state == DatasetState::kForeign) {
    throw Error(ErrorCode::kExists,
                own.dest.uri() + " holds files that are not ours: name a new folder for the answers");
  }
  if (state != DatasetState::kAbsent) {
    if (!overwrite) {
      throw Error(ErrorCode::kExists,
                  own.dest.uri() + " is there already. Name another folder, or give --overwrite.");
    }
    remove_dataset(own.dest);
  }
  begin_run(own.dest, own.run_id, {{"kind", "predictions"}});
  own.file = "part-00000-" + own.run_id + ".snappy.parquet";
  own.stream = std::make_shared<HashingStream>(own.dest.create("_temporary/" + own.run_id + "/" + own.file));
  own.builder =
      take(arrow::RecordBatchBuilder::Make(own.schema, arrow::default_memory_pool(), kGroupRows), own.what);
  parquet::WriterProperties::Builder properties;
  properties.compression(parquet::Compression::SNAPPY)->version(parquet::ParquetVersion::PARQUET_2_6);
  properties.disable_dictionary("path");
  parquet::ArrowWriterProperties::Builder arrow_properties;
  own.writer = take(parquet::arrow::FileWriter::Open(
                        *own.schema, arrow::default_memory_pool(), own.stream, properties.build(),
                        arrow_properties.store_schema()->set_use_threads(false)->build()),
                    own.what);
}

PredictionsWriter::PredictionsWriter(PredictionsWriter&&) noexcept = default;

PredictionsWriter::~PredictionsWriter() {
  if (!impl_ || impl_->finished) return;
  // What was not finished goes; where even that fails, the next run with --overwrite clears it.
  try {
    impl_->writer.reset();
    if (impl_->stream) static_cast<void>(impl_->stream->Abort());
    impl_->dest.remove_folder("_temporary");
  } catch (const std::exception&) {
    return;
  }
}

void PredictionsWriter::add(const PredictedPhoto& photo) {
  Impl& own = *impl_;
  check(own.column<arrow::StringBuilder>(0).Append(photo.info.path), own.what);
  const bool answered = photo.answer.has_value();
  for (int i = 1; i <= 2; ++i) {
    auto& builder = own.column<arrow::Int32Builder>(i);
    check(answered ? builder.Append(i == 1 ? photo.info.width : photo.info.height) : builder.AppendNull(),
          own.what);
  }
  int at = 3;
  for (std::size_t t = 0; t < own.targets.size(); ++t, at += 4) {
    if (!answered) {
      for (int i = at; i < at + 4; ++i) check(own.builder->GetField(i)->AppendNull(), own.what);
      continue;
    }
    const auto& labels = own.targets[t].classifier.labels;
    const TargetAnswer& answer = photo.answer->targets[t];
    check(own.column<arrow::StringBuilder>(at).Append(labels[static_cast<std::size_t>(answer.best)]),
          own.what);
    check(own.column<arrow::FloatBuilder>(at + 1).Append(answer.probability), own.what);
    check(own.column<arrow::BooleanBuilder>(at + 2).Append(answer.confident), own.what);
    auto& list = own.column<arrow::ListBuilder>(at + 3);
    auto& pair = static_cast<arrow::StructBuilder&>(*list.value_builder());
    check(list.Append(), own.what);
    for (const auto& [index, probability] : photo.answer->top(t, own.top)) {
      check(pair.Append(), own.what);
      check(static_cast<arrow::StringBuilder&>(*pair.field_builder(0))
                .Append(labels[static_cast<std::size_t>(index)]),
            own.what);
      check(static_cast<arrow::FloatBuilder&>(*pair.field_builder(1)).Append(probability), own.what);
    }
  }
  auto& unknown = own.column<arrow::BooleanBuilder>(at);
  check(answered ? unknown.Append(photo.answer->unknown) : unknown.AppendNull(), own.what);
  auto& distance = own.column<arrow::FloatBuilder>(at + 1);
  check(answered && photo.answer->distance ? distance.Append(*photo.answer->distance) : distance.AppendNull(),
        own.what);
  auto& stage = own.column<arrow::StringBuilder>(at + 2);
  check(photo.reject ? stage.Append(photo.reject->stage) : stage.AppendNull(), own.what);
  auto& reason = own.column<arrow::StringBuilder>(at + 3);
  check(photo.reject ? reason.Append(photo.reject->reason) : reason.AppendNull(), own.what);
  ++own.written;
  if (photo.reject) ++own.rejected;
  if (++own.rows == kGroupRows) own.flush();
}

void PredictionsWriter::finish(nlohmann::json run) {
  Impl& own = *impl_;
  own.flush();
  check(own.writer->Close(), own.what);
  check(own.stream->Close(), own.what);
  own.dest.rename("_temporary/" + own.run_id + "/" + own.file, own.file);
  PartRecord record;
  record.file = own.file;
  record.rows = own.written;
  record.bytes = own.stream->bytes();
  record.sha256 = own.stream->sha256();
  run["kind"] = "predictions";
  run["run_id"] = own.run_id;
  run["finished"] = utc_now();
  run["fingerprint"] = to_json(own.fingerprint);
  run["counts"] = {{"listed", own.written}, {"rejected", own.rejected}};
  finish_run(own.dest, std::move(run), {record});
  own.finished = true;
}

}  // namespace pomona
