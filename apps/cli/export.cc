// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "command.h"
#include "pomona/edge/export_web.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::string model;
  std::string web;
  std::string weights = "fp16";
  std::string catalogue;
  bool no_webgpu = false;
  EdgeOptions options;
};

double megabytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}

int run_export(Flags& flags) {
  flags.options.weights = parse_weight_storage(flags.weights);
  flags.options.webgpu = !flags.no_webgpu;
  flags.options.catalogue = flags.catalogue;
  const EdgeExport made = export_web(flags.model, flags.web, flags.options);
  fmt::print("network   {:.1f} MB as {}\n", megabytes(made.network_bytes), flags.weights);
  fmt::print("download  {:.1f} MB once, from a server that sends .br files; {:.1f} MB from any other\n",
             megabytes(made.wire_brotli), megabytes(made.wire_gzip));
  if (made.webgpu_brotli > 0) {
    fmt::print("          {:.1f} MB more for those who choose the graphics chip\n",
               megabytes(made.webgpu_brotli));
  }
  if (!flags.options.server.empty()) {
    if (made.components > 0) {
      fmt::print("reduced   {} numbers, {} bytes, in place of a photo\n", made.components,
                 made.components * 4);
    } else {
      fmt::print("reduced   the model has no reduced vector, so {} will not be asked\n",
                 flags.options.server);
    }
  }
  fmt::print("page      {} files in {}\n", made.files, flags.web);
  return kDone;
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb =
      app.add_subcommand("export", "A model as a web page that runs it on the visitor's own device");
  verb->footer(
      "The folder can be hosted by any static web server; photos never leave the visitor's device.\n"
      "Examples:\n"
      "  pomona export model.onnx --web site/\n"
      "  pomona export model.onnx --web site/ --weights int8 --catalogue fruit.json\n"
      "  python3 -m http.server -d site/");
  verb->add_option("MODEL", flags->model, "A model file, from `pomona train`")->required();
  verb->add_option("--web", flags->web, "The folder to make")->required();
  verb->add_option("--weights", flags->weights, "fp16 | int8 (smaller, less exact) | f32")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp16", "int8", "f32"}));
  verb->add_option("--catalogue", flags->catalogue,
                   "Facts about the classes, JSON; default: the starter catalogue");
  verb->add_option("--server", flags->options.server,
                   "A Pomona server that visitors may ask with the reduced vector: https://HOST[:PORT]");
  verb->add_option("--server-model", flags->options.server_model, "The server's name for this model");
  verb->add_flag("--no-webgpu", flags->no_webgpu, "Leave the engine for graphics chips out");
  verb->add_flag("--overwrite", flags->options.overwrite, "Replace an older export");
  verb->callback([flags, &action] { action = [flags](const Context&) { return run_export(*flags); }; });
}

}  // namespace pomona::cli
