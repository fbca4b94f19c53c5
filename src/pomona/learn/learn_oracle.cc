// SPDX-License-Identifier: Apache-2.0
// For tests/oracle and bench: runs one job of learn/ on arrays that Python wrote. `pomona-learn-oracle
// FOLDER` reads FOLDER/job.json, writes FOLDER/result.json and arrays of raw little-endian values beside it.
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <filesystem>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
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

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw pomona::Error(pomona::ErrorCode::kUsage, "Give one folder with a job.json.");
  const Path folder = argv[1];
  const Json job = Json::parse(pomona::read_file(folder / "job.json"));
  const auto what = job.at("what").get<std::string>();
  Json result;
  if (what == "pca") {
    result = pca(job, folder);
  } else {
    throw pomona::Error(pomona::ErrorCode::kUsage, "No job is called " + what + ".");
  }
  pomona::write_file_atomically(folder / "result.json", result.dump());
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
