// SPDX-License-Identifier: Apache-2.0
// For tests/oracle and bench: runs one job of learn/ on arrays that Python wrote. `pomona-learn-oracle
// FOLDER` reads FOLDER/job.json, writes FOLDER/result.json and arrays of raw little-endian values beside it.
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <filesystem>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/learn/classifier.h"
#include "pomona/learn/kmeans.h"
#include "pomona/learn/metrics.h"
#include "pomona/learn/pca.h"

namespace {

using pomona::Pca;
using Json = nlohmann::json;
using Path = std::filesystem::path;

template <typename T>
std::vector<T> read(const Path& file) {
  const std::string bytes = pomona::read_file(file);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

template <typename T>
void write(const Path& file, std::span<const T> values) {
  pomona::write_file_atomically(file, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// {"n", "d", "k" | "variance", "center", "wide", "threads", "blocks": rows per block}; x.f32
Json pca(const Json& job, const Path& folder) {
  const auto x = read<float>(folder / "x.f32");
  const auto n = job.at("n").get<std::size_t>();
  const int d = job.at("d");
  pomona::PcaOptions options;
  if (job.contains("k")) options.k = job["k"].get<int>();
  if (job.contains("variance")) options.variance = job["variance"].get<double>();
  options.center = job.value("center", true);
  options.threads = job.value("threads", 1);
  const auto blocks = job.value("blocks", n);
  const double start = now();
  double after_moments = start;
  const auto fit = [&] {
    if (job.value("wide", false)) return Pca::fit_wide(x, n, d, options);
    pomona::Moments moments(d);
    for (std::size_t row = 0; row < n; row += blocks) {
      const std::size_t count = std::min(blocks, n - row);
      moments.add(std::span(x).subspan(row * moments.sum().size(), count * moments.sum().size()), count,
                  options.threads);
    }
    after_moments = now();
    return Pca::fit(moments, options);
  };
  const Pca pca = fit();
  const double seconds = now() - start;
  std::vector<float> y(n * static_cast<std::size_t>(pca.k()));
  const double before_transform = now();
  pca.transform(x, n, y, options.threads);
  const double transform_seconds = now() - before_transform;
  write(folder / "mean.f32", pca.mean());
  write(folder / "components.f32", pca.components());
  write(folder / "spectrum.f64", pca.spectrum());
  write<float>(folder / "y.f32", y);
  return {{"k", pca.k()},
          {"explained", pca.explained()},
          {"seconds", seconds},
          {"moments_seconds", after_moments - start},
          {"transform_seconds", transform_seconds}};
}

std::vector<std::string> numbered_labels(int classes) {
  std::vector<std::string> labels;
  for (int c = 0; c < classes; ++c) labels.push_back(fmt::format("{:04}", c));
  return labels;
}

// {"kind", "n", "d", "classes", and options}; x.f32, y.i32, test.f32
Json train(const Json& job, const Path& folder) {
  const auto x = read<float>(folder / "x.f32");
  const auto y = read<std::int32_t>(folder / "y.i32");
  const pomona::TrainingSet set{x, job.at("n"), job.at("d"), y, numbered_labels(job.at("classes"))};
  pomona::TrainOptions options;
  options.balanced = job.value("balanced", false);
  options.threads = job.value("threads", 1);
  options.c = job.value("c", 1.0);
  options.max_iterations = job.value("max_iterations", options.max_iterations);
  options.tolerance = job.value("tolerance", options.tolerance);
  options.shrinkage = job.value("shrinkage", -1.0);
  options.trees = job.value("trees", 100);
  options.seed = job.value("seed", std::uint64_t{0});
  const auto kind = job.at("kind").get<std::string>();
  const double start = now();
  const pomona::Classifier trained = kind == "logistic" ? pomona::train_logistic(set, options)
                                     : kind == "lda"    ? pomona::train_lda(set, options)
                                                        : pomona::train_forest(set, options);
  const double seconds = now() - start;
  const std::string bytes = trained.serialize();
  const pomona::Classifier back = pomona::Classifier::deserialize(bytes);
  const auto test = read<float>(folder / "test.f32");
  const std::size_t rows = test.size() / job.at("d").get<std::size_t>();
  std::vector<float> p(rows * set.labels.size());
  const double before = now();
  back.probabilities(test, rows, p, options.threads);
  const double predict_seconds = now() - before;
  write<float>(folder / "p.f32", p);
  if (const auto* linear = back.linear()) {
    write<float>(folder / "weights.f32", linear->weights);
    write<float>(folder / "bias.f32", linear->bias);
  } else {
    const auto* forest = back.forest();
    write<std::int32_t>(folder / "roots.i32", forest->roots);
    write<std::int32_t>(folder / "feature.i32", forest->feature);
    write<float>(folder / "threshold.f32", forest->threshold);
    write<std::int32_t>(folder / "left.i32", forest->left);
    write<std::int32_t>(folder / "right.i32", forest->right);
    write<float>(folder / "leaves.f32", forest->leaves);
  }
  return {{"record", back.record},
          {"bytes", bytes.size()},
          {"seconds", seconds},
          {"predict_seconds", predict_seconds}};
}

// {"d", "k" or none, "k_max", "restarts", "seed", "threads"}; x.f32, labels.i32 if there are any
Json kmeans(const Json& job, const Path& folder) {
  const auto x = read<float>(folder / "x.f32");
  const auto d = job.at("d").get<std::size_t>();
  pomona::KMeansOptions options;
  if (job.contains("k")) options.k = job["k"].get<int>();
  options.k_max = job.value("k_max", options.k_max);
  options.restarts = job.value("restarts", options.restarts);
  options.seed = job.value("seed", options.seed);
  options.threads = job.value("threads", 1);
  const double start = now();
  const pomona::KMeans result = pomona::kmeans(x, d, options);
  const double seconds = now() - start;
  write<float>(folder / "centres.f32", result.centres);
  write<int>(folder / "assignments.i32", result.assignments);
  Json answer = {{"k", result.k},
                 {"inertia", result.inertia},
                 {"iterations", result.iterations},
                 {"converged", result.converged},
                 {"silhouette", pomona::silhouette(x, d, result.assignments, options.threads)},
                 {"trials", Json::object()},
                 {"seconds", seconds}};
  for (const auto& trial : result.trials) answer["trials"][std::to_string(trial.k)] = trial.silhouette;
  if (std::filesystem::exists(folder / "labels.i32")) {
    const auto purity = pomona::purity(result.assignments, read<int>(folder / "labels.i32"));
    answer["purity"] = purity ? Json(*purity) : Json();
  }
  return answer;
}

// {"classes"}; truth.i32, p.f32
Json measure(const Json& job, const Path& folder) {
  const auto truth = read<std::int32_t>(folder / "truth.i32");
  const auto p = read<float>(folder / "p.f32");
  const pomona::Metrics m = pomona::measure(truth, p, numbered_labels(job.at("classes")));
  Json answer = {
      {"accuracy", m.accuracy.value}, {"top3", m.top3.value},   {"balanced_accuracy", m.balanced_accuracy},
      {"macro_f1", m.macro_f1},       {"log_loss", m.log_loss}, {"confusion", m.confusion}};
  for (const auto& c : m.classes) answer["classes"].push_back({c.precision, c.recall, c.f1, c.support});
  return answer;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw pomona::Error(pomona::ErrorCode::kUsage, "Give one folder with a job.json.");
  const Path folder = argv[1];
  const Json job = Json::parse(pomona::read_file(folder / "job.json"));
  const auto what = job.at("what").get<std::string>();
  Json result;
  if (what == "pca") {
    result = pca(job, folder);
  } else if (what == "kmeans") {
    result = kmeans(job, folder);
  } else if (what == "measure") {
    result = measure(job, folder);
  } else if (what == "train") {
    result = train(job, folder);
  } else {
    throw pomona::Error(pomona::ErrorCode::kUsage, "No job is called " + what + ".");
  }
  pomona::write_file_atomically(folder / "result.json", result.dump());
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
