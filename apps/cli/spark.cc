// SPDX-License-Identifier: Apache-2.0
#include "spark.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <filesystem>

#include "common.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/scratch_folder.h"
#include "python_program.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json conf_of(const std::vector<std::string>& words) {
  json conf = json::object();
  for (const std::string& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(ErrorCode::kUsage,
                  "--spark-conf takes key=value, for example spark.executor.memory=4g, not '" + word + "'");
    }
    conf[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return conf;
}

void print_concluded(const json& concluded) {
  if (concluded.contains("model")) {
    const json& model = concluded["model"];
    fmt::print("model     {} photos, judged by {}", human_count(model.at("photos").get<std::uint64_t>()),
               model.at("validated_by").get<std::string>());
    if (const auto held = model.at("held_for_test").get<std::uint64_t>(); held > 0)
      fmt::print("; {} Test photos not looked at", human_count(held));
    fmt::print("\n");
    if (const auto left = model.at("unlabelled").get<std::uint64_t>(); left > 0)
      fmt::print("          {} photos have no label: left out\n", human_count(left));
    for (const json& head : model.at("heads")) {
      fmt::print("          {}: {} {:.2f} % right (95 %: {:.2f} to {:.2f}), {} classes\n",
                 head.at("target").get<std::string>(), head.at("classifier").get<std::string>(),
                 100 * head.at("accuracy").get<double>(), 100 * head.at("low").get<double>(),
                 100 * head.at("high").get<double>(), head.at("classes").get<int>());
    }
    fmt::print("          {}\n", model.at("file").get<std::string>());
  }
  if (const auto report = concluded.value("report", std::string()); !report.empty())
    fmt::print("report    {}\n", report);
  if (!concluded.contains("evaluation")) return;
  for (const json& target : concluded["evaluation"].at("targets")) {
    fmt::print("{:<9} {:.2f} % of {} {} photos right (95 %: {:.2f} to {:.2f})\n",
               target.at("target").get<std::string>(), 100 * target.at("accuracy").get<double>(),
               human_count(target.at("photos").get<std::uint64_t>()),
               concluded["evaluation"].at("split").get<std::string>(), 100 * target.at("low").get<double>(),
               100 * target.at("high").get<double>());
  }
}

}  // namespace

void add_engine_flags(CLI::App& app, EngineFlags& flags) {
  app.add_option("--engine", flags.engine, "local | spark: this machine, or an Apache Spark cluster")
      ->capture_default_str()
      ->check(CLI::IsMember({"local", "spark"}))
      ->group("Engine");
  app.add_option("--master", flags.master, "Spark: local[N] | spark://HOST:PORT | yarn | k8s://URL")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--partitions", flags.partitions,
                 "Spark: tasks per stage at the most; default: one per part")
      ->check(CLI::Range(1, 1'000'000))
      ->group("Engine");
  app.add_option("--archives", flags.archives,
                 "Spark: FILE#NAME, what `pomona package` made; executors unpack it and run its Python")
      ->group("Engine");
  app.add_option("--spark-conf", flags.conf, "Spark: key=value of its configuration; may be repeated")
      ->group("Engine");
}

int run_on_spark(const EngineFlags& flags, const distributed::Job& job, double max_reject_rate,
                 const Context& context) {
  const ScratchFolder scratch;
  const fs::path order = scratch.path() / "job.json";
  const fs::path answer = scratch.path() / "result.json";
  json text = {{"job", distributed::to_json(job)},
               {"master", flags.master},
               {"conf", conf_of(flags.conf)},
               {"quiet", context.quiet},
               {"result", answer.string()}};
  if (flags.partitions) text["partitions"] = *flags.partitions;
  if (!flags.archives.empty()) text["archives"] = flags.archives;
  write_file_atomically(order, text.dump());
  const int code = run_python("pomona.spark.launch", {order.string()}, context.stop);
  // Nobody asked for it: the kernel where memory ran out, a batch system, somebody's kill. It said nothing.
  if (code > 128 && code != 130 && !context.stop.stop_requested()) {
    throw Error(
        ErrorCode::kUnavailable,
        fmt::format("the job's driver (python -m pomona.spark.launch, for {}) was ended by signal {} ({}), "
                    "by somebody or for want of memory. Finished parts are kept: run again with --resume.",
                    job.kind == "reduce" ? job.reduce->dest : job.features, code - 128,
                    strsignal(code - 128)));
  }
  if (code != 0) return code;

  const json result = json::parse(read_file(answer));
  for (const json& note : result.at("notes")) tell("{}\n", note.get<std::string>());
  for (const json& warning : result.at("warnings")) tell("warning: {}\n", warning.get<std::string>());
  FeaturizeResult features;
  if (result.contains("features")) {
    const json& said = result["features"];
    said.at("listed").get_to(features.listed);
    said.at("written").get_to(features.written);
    said.at("rejected").get_to(features.rejected);
    said.at("computed").get_to(features.computed);
    said.at("identical").get_to(features.identical);
    said.at("reused").get_to(features.reused);
    said.at("seconds").get_to(features.seconds);
    said.at("d").get_to(features.schema.d);
    said.at("reject_reasons").get_to(features.reject_reasons);
    print_featurized(features, job.features);
  }
  if (result.contains("reduced")) {
    ReduceResult reduced;
    result["reduced"].at("k").get_to(reduced.k);
    result["reduced"].at("d").get_to(reduced.d);
    result["reduced"].at("explained").get_to(reduced.explained);
    print_reduced(reduced, job.reduce->dest);
  }
  if (result.contains("concluded")) print_concluded(result["concluded"]);
  if (!context.quiet)
    fmt::print("spark     session began in {}\n", human_seconds(result.at("session_seconds").get<double>()));
  return result.contains("features") ? exit_for_rejects(features, max_reject_rate, job.features) : kDone;
}

}  // namespace pomona::cli
