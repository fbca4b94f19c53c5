// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "pomona/base/cpu.h"
#include "pomona/base/paths.h"
#include "pomona/image/decode.h"
#include "pomona/model/network.h"
#include "pomona/model/registry.h"
#include "pomona/storage/rights.h"
#include "pomona/storage/store.h"

namespace pomona::cli {
namespace {

struct Finding {
  std::string what;
  std::string state;
  bool good = true;
  std::string mend;  // where not good
};

Finding writable(const std::string& what, const std::filesystem::path& folder) {
  try {
    const auto probe = folder / ".pomona-doctor";
    write_file_atomically(probe, "");
    std::filesystem::remove(probe);
    return {what, folder.string() + " is writable", true, ""};
  } catch (const std::exception& error) {
    return {what, error.what(), false, "set POMONA_HOME to a folder you may write to"};
  }
}

Finding inference() {
  const auto begin = std::chrono::steady_clock::now();
  try {
    NetworkOptions options;
    options.batch = 1;
    options.streams = 1;
    const Network network = Network::load(options);
    InferLane lane = network.make_lane();
    lane.infer();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return {"inference",
            fmt::format("{} at {}, {} numbers a photo, first answer after {:.2f} s", network.name(),
                        network.fingerprint().precision, network.dimension(), seconds),
            true, ""};
  } catch (const std::exception& error) {
    return {"inference", error.what(), false, "run `make build` again: it makes the default network"};
  }
}

std::vector<Finding> examine() {
  const CpuFeatures cpu = cpu_features();
  std::vector<Finding> findings;
  findings.push_back({"pomona", POMONA_VERSION, true, ""});
  findings.push_back({"cpu", fmt::format("{}; {} threads allowed", cpu.name, cpu_budget()), true, ""});
  findings.push_back(
      {"instructions",
       fmt::format("AVX2 {}, AVX-512 {}, VNNI {}, bf16 {}", cpu.avx2 ? "yes" : "no",
                   cpu.avx512 ? "yes" : "no", cpu.avx512_vnni ? "yes" : "no",
                   cpu.bf16() ? "yes: --precision auto is bf16" : "no: --precision auto is f32"),
       cpu.avx2, "OpenVINO wants AVX2; it runs without, slowly"});
  findings.push_back({"formats", has_heif() ? "JPEG, PNG, WebP, HEIC, AVIF" : "JPEG, PNG, WebP", true, ""});
  findings.push_back(writable("networks", models_home()));
  findings.push_back(writable("cache", cache_home()));
  std::string installed;
  for (const ModelCard& card : list_models()) {
    if (card.installed) installed += (installed.empty() ? "" : ", ") + card.name;
  }
  findings.push_back({"installed", installed.empty() ? "no network" : installed, !installed.empty(),
                      "run `make build`, or `pomona models pull NAME`"});
  findings.push_back(inference());
  return findings;
}

// What may be done at each of these places, tried for real.
std::vector<Finding> examine_places(const std::vector<std::string>& places, bool write) {
  std::vector<Finding> findings;
  for (const std::string& place : places) {
    findings.push_back({"place", place, true, ""});
    for (const RightFinding& right : examine_rights(place, write)) {
      const std::string state = right.detail + " (" + right.right + ")";
      findings.push_back(
          {right.action, right.granted || right.tried ? state : "not tried: " + state,
           right.granted || !right.tried,
           !is_remote_uri(place) ? "needed: " + right.right + "; is the name right?"
           : right.right.starts_with("s3:")
               ? "allow " + right.right + " in the policy of these credentials; see docs/object-stores.md"
               : "grant these credentials: " + right.right + "; see docs/object-stores.md"});
    }
  }
  return findings;
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  auto places = std::make_shared<std::vector<std::string>>();
  auto source = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand(
      "doctor", "What is installed, what the CPU offers, what is missing; which rights there are at a URI");
  verb->add_option("PLACE", *places,
                   "Folders or URIs (s3://bucket/prefix) to try instead: list, read, write, delete");
  verb->add_flag("--source", *source, "Of the PLACEs: try only what a SOURCE needs, write nothing")
      ->needs("PLACE");
  verb->add_flag("--json", *json, "As JSON");
  verb->footer(
      "Examples:\n  pomona doctor\n  pomona doctor s3://photos/2026 --source\n  pomona doctor s3://results");
  verb->callback([json, places, source, &action] {
    action = [json, places, source](const Context&) {
      const std::vector<Finding> findings = places->empty() ? examine() : examine_places(*places, !*source);
      bool good = true;
      nlohmann::json all = nlohmann::json::array();
      for (const Finding& finding : findings) {
        good = good && finding.good;
        all.push_back({{"what", finding.what},
                       {"state", finding.state},
                       {"good", finding.good},
                       {"mend", finding.good ? "" : finding.mend}});
        if (*json) continue;
        fmt::print("{} {:<13} {}\n", finding.good ? "ok " : "BAD", finding.what, finding.state);
        if (!finding.good) fmt::print("    {:<13} {}\n", "", finding.mend);
      }
      if (*json) fmt::print("{}\n", all.dump(2));
      return good ? kDone : kFailed;
    };
  });
}

}  // namespace pomona::cli
