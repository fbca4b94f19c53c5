// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/reduce.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/text.h"
#include "pomona/model/fingerprint.h"
#include "pomona/pipeline/moment_sequence.h"
#include "pomona/pipeline/resume_plan.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/pipeline/stage_clock.h"
#include "pomona/storage/csv_file.h"
#include "pomona/storage/hold_place.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

// Wider vectors get no moment matrix: at 8,192 it is 256 MB already.
constexpr int kWidestMoments = 8192;

// What `_run.json` of the features says about `key`; null where there is none.
nlohmann::json of_run(const DatasetReader& features, const char* key) {
  return features.run().is_object() ? features.run().value(key, nlohmann::json()) : nlohmann::json();
}

Pca fit_pca(const DatasetReader& features, const Store& source, const ReduceOptions& options, int threads,
            std::map<std::string, double>& stages, const std::stop_token& stop) {
  StageClock clock;
  if (features.schema().d > kWidestMoments) {
    Pca pca = fit_wide(features, options);
    clock.lap(stages["fit"]);
    return pca;
  }
  Moments moments;
  if (options.moments) {
    moments = *options.moments;
  } else {
    MomentSequence sequence(source, features.schema(), features.run(), threads, stop);
    for (const PartRecord& part : features.parts()) sequence.add_kept(part);
    moments = sequence.take();
  }
  clock.lap(stages["moments"]);
  Pca pca = Pca::fit(moments, options.fit);
  clock.lap(stages["fit"]);
  return pca;
}

}  // namespace

int widest_moments() {
  return kWidestMoments;
}

Pca fit_wide(const DatasetReader& features, const ReduceOptions& options) {
  const int d = features.schema().d;
  const std::uint64_t bytes = features.rows() * static_cast<std::uint64_t>(d) * sizeof(float);
  if (features.rows() > static_cast<std::uint64_t>(d) || bytes > options.max_wide_bytes) {
    throw Error(ErrorCode::kUsage,
                "a PCA of " + human_count(features.rows()) + " vectors of " +
                    human_count(static_cast<std::uint64_t>(d)) + " numbers needs a matrix of " +
                    human_bytes(static_cast<std::uint64_t>(d) * static_cast<std::uint64_t>(d + 1) * 4) +
                    " and days of work. Featurize with --pool avg: it averages over height and width and "
                    "keeps what the "
                    "network saw.");
  }
  std::vector<float> x;
  x.reserve(features.rows() * static_cast<std::uint64_t>(d));
  features.read(true, [&](Block&& block) {
    x.insert(x.end(), block.vectors.begin(), block.vectors.end());
    return true;
  });
  return Pca::fit_wide(x, features.rows(), d, options.fit);
}

Pca saved_pca(const DatasetReader& features, const ReduceOptions& options, const Hooks& hooks) {
  const std::string place = Store::open(options.features).uri();
  Pca pca = load_pca(*options.pca);
  if (pca.d() != features.schema().d) {
    throw Error(ErrorCode::kMismatch, *options.pca + " takes vectors of " + std::to_string(pca.d()) +
                                          " numbers, " + place + " has " +
                                          std::to_string(features.schema().d));
  }
  const nlohmann::json ours = of_run(features, "fingerprint");
  // A PCA that was fitted from Python may have no record.
  const nlohmann::json theirs =
      pca.record.is_object() ? pca.record.value("fingerprint", nlohmann::json()) : nlohmann::json();
  if (ours.is_object() && theirs.is_object()) {
    const auto warning = require_same(fingerprint_from_json(ours), place, fingerprint_from_json(theirs),
                                      *options.pca, options.strict);
    if (warning && hooks.warning) hooks.warning(*warning);
  }
  if (options.fit.k && *options.fit.k < pca.k()) return pca.truncated(*options.fit.k);
  return pca;
}

nlohmann::json pca_record(const DatasetReader& features, const std::string& place) {
  return {{"fingerprint", of_run(features, "fingerprint")}, {"features", place}, {"rows", features.rows()}};
}

Schema reduced_schema(const Schema& features, int k, const ReduceOptions& options) {
  Schema schema = features;
  schema.vector_column = "components";
  schema.d = k;
  schema.format = options.format;
  schema.csv_packed = options.csv_packed && options.format == Format::kCsv;
  return schema;
}

void require_elsewhere(const Store& features, const Store& dest) {
  const auto place = [](const Store& store) {
    std::error_code error;
    const auto real =
        store.is_local() ? std::filesystem::canonical(store.uri(), error) : std::filesystem::path();
    return error || real.empty() ? store.uri() : real.string();
  };
  const std::string to = place(dest);
  const bool one_file = features.uri().ends_with(".parquet") || features.uri().ends_with(".csv");
  if (to != place(features) && (!one_file || to != place(features.parent()))) return;
  throw Error(ErrorCode::kUsage, escape_path(dest.uri()) +
                                     " is where the vectors are read from: name another folder for the "
                                     "components");
}

nlohmann::json reduced_header(std::string_view pca_bytes) {
  return {{"kind", "components"}, {"pca_sha256", sha256_hex(pca_bytes)}};
}

std::optional<PartRecord> reduce_part(const DatasetReader& features, std::size_t index, const Pca& pca,
                                      PartWriter&& writer, const std::function<bool(std::size_t)>& on_rows) {
  PartWriter part = std::move(writer);
  std::vector<float> y;
  bool whole = true;
  features.read_part(index, true, [&](Block&& block) {
    const std::size_t rows = block.rows.size();
    y.resize(rows * static_cast<std::size_t>(pca.k()));
    pca.transform(block.vectors, rows, y);
    std::swap(block.vectors, y);
    block.rejects.clear();
    part.write(block);
    whole = on_rows(rows);
    return whole;
  });
  if (!whole) return std::nullopt;
  return part.finish({{"source", features.parts()[index].sha256}});
}

void finish_reduced(const Store& dest, ReduceResult& result, const DatasetReader& features,
                    const ReduceOptions& options, const std::string& run_id,
                    const std::vector<PartRecord>& records, const nlohmann::json& more) {
  const std::string pca_bytes = result.pca.serialize();
  const Schema schema = reduced_schema(features.schema(), result.k, options);
  const FilePlace place = file_place(options.save_pca.value_or("_pca.bin"));
  const Store pca_folder = options.save_pca ? Store::open(place.folder) : dest;
  pca_folder.write(place.name, pca_bytes);
  result.pca_file = pca_folder.uri() + "/" + place.name;
  nlohmann::json run = {
      {"kind", "components"},
      {"run_id", run_id},
      {"finished", utc_now()},
      {"machine", machine_record()},
      {"fingerprint", of_run(features, "fingerprint")},
      {"network", of_run(features, "network")},
      {"header", reduced_header(pca_bytes)},
      {"invocation", options.invocation},
      {"pca", {{"file", result.pca_file}, {"k", result.k}, {"d", result.d}, {"explained", result.explained}}},
      {"schema",
       {{"vector_column", schema.vector_column},
        {"d", schema.d},
        {"labels", schema.labels},
        {"splits", schema.splits},
        {"format", to_string(schema.format)}}},
      {"counts", {{"written", result.rows}}},
      {"seconds", result.seconds},
      {"stages", result.stages}};
  if (more.is_object()) run.update(more);
  finish_run(dest, std::move(run), records);
  if (options.csv) write_csv_file(DatasetReader::open(dest), *options.csv);
}

Pca load_pca(const std::string& uri) {
  const FilePlace place = file_place(uri);
  return Pca::deserialize(Store::open(place.folder).read(place.name));
}

Pca pca_of_run(const nlohmann::json& run, const std::string& dataset) {
  const auto text = [&](const char* object, const char* key) {
    const nlohmann::json fields = run.is_object() ? run.value(object, nlohmann::json()) : nlohmann::json();
    const nlohmann::json value = fields.is_object() ? fields.value(key, nlohmann::json()) : nlohmann::json();
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  const std::string named = text("pca", "file");
  const std::string sha256 = text("header", "pca_sha256");
  if (named.empty()) throw Error(ErrorCode::kFormat, dataset + " does not say which PCA made it");
  std::string why;
  try {
    const FilePlace place = file_place(named);
    const std::string bytes = Store::open(place.folder).read(place.name);
    if (sha256.empty() || sha256_hex(bytes) == sha256) return Pca::deserialize(bytes);
    why = named + " holds another PCA by now";
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound || sha256.empty()) throw;
    why = error.what();
  }
  // Folders move; a PCA that is the same to the bit is the one, wherever it lies.
  const Store own = Store::open(dataset);
  for (const auto& [folder, name] : {std::pair{own, "_pca.bin"}, {own.parent().at("pca"), "pca.bin"}}) {
    if (!folder.exists(name)) continue;
    const std::string bytes = folder.read(name);
    if (sha256_hex(bytes) == sha256) return Pca::deserialize(bytes);
  }
  throw Error(ErrorCode::kMismatch, "the PCA that made " + dataset + " is gone: " + why +
                                        ". Reduce the features again, or use the features themselves.");
}

ReduceResult reduce(const ReduceOptions& options, const Hooks& hooks, std::stop_token stop) {
  const auto begin = std::chrono::steady_clock::now();
  const int threads = options.threads > 0 ? options.threads : cpu_budget();
  const Store source = Store::open(options.features);
  const DatasetReader features = DatasetReader::open(source);
  if (features.rows() == 0) throw Error(ErrorCode::kFormat, source.uri() + " has no rows to reduce");
  const Store dest = Store::open(options.dest);
  require_elsewhere(source, dest);
  ReduceResult result;
  result.rows = features.rows();
  result.d = features.schema().d;
  if (options.pca) {
    result.pca = saved_pca(features, options, hooks);
  } else {
    result.pca = fit_pca(features, source, options, threads, result.stages, stop);
    result.pca.record = pca_record(features, source.uri());
  }
  result.k = result.pca.k();
  result.explained = result.pca.explained();
  const Schema schema = reduced_schema(features.schema(), result.k, options);
  const nlohmann::json header = reduced_header(result.pca.serialize());
  const auto held = hold_place(dest);
  const ResumePlan plan = plan_resume(dest, header, false, options.overwrite);
  begin_run(dest, plan.run_id, header);

  std::vector<PartRecord> records(features.parts().size());
  {
    std::atomic<std::size_t> next = 0;
    std::atomic<std::uint64_t> done = 0;
    std::mutex mutex;
    std::exception_ptr error;
    const auto work = [&] {
      for (std::size_t part = next++; part < records.size() && !stop.stop_requested(); part = next++) {
        auto record = reduce_part(features, part, result.pca, PartWriter(dest, schema, plan.run_id, part),
                                  [&](std::size_t rows) {
                                    done += rows;
                                    return !stop.stop_requested();
                                  });
        if (!record) return;
        require_running(dest, plan.run_id, &*record);
        records[part] = std::move(*record);
        if (hooks.progress) {
          const std::lock_guard lock(mutex);
          Progress progress;
          progress.unit = "rows";
          progress.done = done;
          progress.total = result.rows;
          progress.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
          progress.rate = progress.seconds > 0 ? static_cast<double>(progress.done) / progress.seconds : 0;
          hooks.progress(progress);
        }
      }
    };
    StageClock clock;
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < std::min(static_cast<std::size_t>(threads), records.size()); ++i) {
      workers.emplace_back([&] {
        try {
          work();
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!error) error = std::current_exception();
          next = records.size();
        }
      });
    }
    workers.clear();
    clock.lap(result.stages["reduce"]);
    if (error) std::rethrow_exception(error);
    if (stop.stop_requested())
      throw Error(ErrorCode::kCancelled, "stopped before " + dest.uri() + " was finished");
  }

  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  finish_reduced(dest, result, features, options, plan.run_id, records, nullptr);
  return result;
}

}  // namespace pomona
