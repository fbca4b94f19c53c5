// SPDX-License-Identifier: Apache-2.0
// For tests: feeds raw pixels to a network and writes its vectors, so that another engine can be compared;
// with --seconds it measures how many photos the lanes take.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/model/network.h"

namespace {

using Clock = std::chrono::steady_clock;

void run_file(const pomona::Network& network, const std::string& from, const std::string& to) {
  const std::string pixels = pomona::read_file(from);
  pomona::InferLane lane = network.make_lane();
  const std::size_t photo = lane.pixels(0).size();
  std::ofstream out(to, std::ios::binary);
  for (std::size_t first = 0; first < pixels.size() / photo;) {
    int filled = 0;
    for (; filled < network.batch() && first < pixels.size() / photo; ++filled, ++first) {
      std::memcpy(lane.pixels(filled).data(), pixels.data() + first * photo, photo);
    }
    lane.infer();
    for (int slot = 0; slot < filled; ++slot) {
      const auto vector = lane.features(slot);
      out.write(reinterpret_cast<const char*>(vector.data()),
                static_cast<std::streamsize>(vector.size_bytes()));
    }
  }
}

double photos_per_second(const pomona::Network& network, int lanes, double seconds) {
  std::atomic<std::int64_t> photos{0};
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < lanes; ++i) {
    threads.emplace_back([&] {
      pomona::InferLane lane = network.make_lane();
      for (int warm = 0; warm < 3; ++warm) lane.infer();
      while (!stop) {
        lane.infer();
        photos += network.batch();
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const std::int64_t before = photos;
  const auto begin = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const double elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto done = static_cast<double>(photos - before);
  stop = true;
  return done / elapsed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Raw pixels to vectors, for tests");
  pomona::NetworkOptions options;
  std::string preprocess, precision = "f32", pool = "auto", from, to;
  int size = 0, lanes = 1;
  double seconds = 0;
  app.add_option("--model", options.model)->required();
  app.add_option("--preprocess", preprocess);
  app.add_option("--layer", options.layer);
  app.add_option("--pool", pool);
  app.add_option("--input-size", size);
  app.add_option("--precision", precision);
  app.add_option("--batch", options.batch);
  app.add_option("--streams", options.streams);
  app.add_flag("!--no-cache", options.compile_cache);
  app.add_option("--lanes", lanes);
  app.add_option("--seconds", seconds);
  app.add_option("pixels", from);
  app.add_option("vectors", to);
  CLI11_PARSE(app, argc, argv);
  try {
    options.precision = pomona::parse_precision(precision);
    options.pool = pomona::parse_pool(pool);
    if (!preprocess.empty()) options.preprocess = preprocess;
    if (size > 0) options.input_size = size;
    const auto begin = Clock::now();
    const pomona::Network network = pomona::Network::load(options);
    nlohmann::json report = {{"dimension", network.dimension()},
                             {"load_seconds", std::chrono::duration<double>(Clock::now() - begin).count()},
                             {"fingerprint", pomona::to_json(network.fingerprint())}};
    if (!to.empty()) run_file(network, from, to);
    if (seconds > 0) report["photos_per_second"] = photos_per_second(network, lanes, seconds);
    std::puts(report.dump().c_str());
  } catch (const pomona::Error& error) {
    std::fprintf(stderr, "%s: %s\n", std::string(pomona::to_string(error.code())).c_str(), error.what());
    return 1;
  }
  return 0;
}
