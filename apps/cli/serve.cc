// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>

#include "common.h"
#include "pomona/base/error.h"
#include "server/server.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

using std::chrono::milliseconds;

struct Flags {
  server::ServerOptions options;
  std::vector<std::string> models;
  std::string precision = "auto";
  std::string jpeg_scale = "model";
  std::optional<std::string> max_body;
  std::optional<std::string> max_body_memory;
  std::string open_scopes;
  std::string trusted_proxies;
  std::optional<double> rate;
  double header_seconds = 10;
  double body_seconds = 60;
  double idle_seconds = 60;
  double write_seconds = 60;
  double patience_seconds = 10;
  double batch_wait_ms = 2;
  double purge_seconds = 3600;
  int retention_days = 14;
  bool no_page = false;
  bool no_cache = false;
  bool short_addresses = false;
};

constexpr double kPublicRate = 30;  // requests a second of one client, where others than this machine can ask

milliseconds from_seconds(double seconds) {
  return milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

bool is_loopback(const std::string& address) {
  return address == "::1" || address.starts_with("127.");
}

void warn(const std::string& text) {
  tell("pomona: warning: {}\n", text);
}

// What everybody who starts a server on a network should have read once.
void warn_of_exposure(const server::ServerOptions& options) {
  if (is_loopback(options.http.address)) return;
  if (options.http.tls_certificate.empty()) {
    warn(fmt::format(
        "{} can be reached from other machines, without TLS: photos and tokens travel readable. Give "
        "--tls-cert and --tls-key, or put a proxy with TLS in front and bind 127.0.0.1.",
        options.http.address));
  }
  if (!options.tokens) {
    warn("without --tokens everybody who reaches this server may use it, /metrics included");
  }
}

int run_serve(Flags& flags, const Context& context) {
  server::ServerOptions& options = flags.options;
  options.models.models = server::parse_model_arguments(flags.models);
  options.models.precision = parse_precision(flags.precision);
  options.models.compile_cache = !flags.no_cache;
  if (flags.jpeg_scale == "auto") options.engine.jpeg_scale = JpegScale::kAuto;
  if (flags.jpeg_scale == "off") options.engine.jpeg_scale = JpegScale::kOff;
  options.engine.batch_wait =
      std::chrono::microseconds(static_cast<std::int64_t>(flags.batch_wait_ms * 1000));
  if (flags.max_body) options.limits.max_body = parse_bytes(*flags.max_body);
  if (flags.max_body_memory) options.http.max_body_memory = parse_bytes(*flags.max_body_memory);
  options.http.header_timeout = from_seconds(flags.header_seconds);
  options.http.body_timeout = from_seconds(flags.body_seconds);
  options.http.idle_timeout = from_seconds(flags.idle_seconds);
  options.http.write_timeout = from_seconds(flags.write_seconds);
  options.patience = from_seconds(flags.patience_seconds);
  options.purge_every = from_seconds(flags.purge_seconds);
  options.retention = std::chrono::hours(24 * flags.retention_days);
  if (options.http.address == "localhost") options.http.address = "127.0.0.1";
  options.http.proxies = server::TrustedProxies::parse(flags.trusted_proxies);
  // Behind a proxy others ask though the address is this machine's own.
  const bool own_only = is_loopback(options.http.address) && options.http.proxies.empty();
  options.rate = flags.rate.value_or(own_only ? 0 : kPublicRate);
  options.open_scopes = server::parse_scopes(flags.open_scopes);
  options.log_addresses = !flags.short_addresses;
  options.page = !flags.no_page;
  if (options.http.tls_certificate.empty() != options.http.tls_key.empty()) {
    throw Error(ErrorCode::kUsage, "TLS needs both --tls-cert and --tls-key");
  }
  if (options.open_scopes != server::kNobody && !options.tokens) {
    throw Error(ErrorCode::kUsage, "--open says what needs no token: it goes with --tokens");
  }
  // Whoever reads our output may go away; a server does not.
  std::signal(SIGPIPE, SIG_IGN);
  warn_of_exposure(options);

  server::ServerHooks hooks;
  hooks.listening = [&](std::uint16_t port) {
    const bool v6 = options.http.address.find(':') != std::string::npos;
    fmt::print("listening {}://{}{}{}:{}\n", options.http.tls_certificate.empty() ? "http" : "https",
               v6 ? "[" : "", options.http.address, v6 ? "]" : "", port);
    std::fflush(stdout);
  };
  hooks.note = [](const std::string& text) { tell("pomona: {}\n", text); };
  hooks.warning = warn;
  if (!server::serve(options, hooks, context.stop)) {
    warn("requests that were not answered in time were cut off");
    return kFailed;
  }
  return kDone;
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  server::ServerOptions& options = flags->options;
  CLI::App* verb = app.add_subcommand("serve", "HTTP API and web page of trained models");
  verb->footer(
      "SIGHUP reads models, tokens and certificate again; SIGTERM ends after what is in flight.\n"
      "Examples:\n"
      "  pomona serve model.onnx\n"
      "  pomona serve fruit=a.onnx ripeness=b.onnx --similar results/\n"
      "  pomona serve fruit.onnx --contributions given/ --retention-days 7\n"
      "  pomona serve m.onnx --host 0.0.0.0 --port 443 --tls-cert c.pem --tls-key k.pem\n"
      "  curl --data-binary @photo.jpg http://127.0.0.1:8080/v1/classify");
  verb->add_option("MODELS", flags->models, "Model files or NAME=FILE; the first is the default")->required();

  const char* listen = "Network";
  verb->add_option("--host", options.http.address, "Address to listen on; 0.0.0.0 = all of this machine")
      ->capture_default_str()
      ->group(listen);
  verb->add_option("--port", options.http.port, "0 = a free one; it is printed")
      ->capture_default_str()
      ->group(listen);
  verb->add_option("--tls-cert", options.http.tls_certificate, "PEM certificate chain")->group(listen);
  verb->add_option("--tls-key", options.http.tls_key, "PEM key")->group(listen);
  verb->add_option("--cors", options.cors, "Origin whose pages may call: https://example.org")->group(listen);

  const char* access = "Access";
  verb->add_option("--tokens", options.tokens, "File of API tokens (`pomona tokens`); needed by all who ask")
      ->group(access);
  verb->add_option("--open", flags->open_scopes,
                   "Scopes that need no token all the same: classify,contribute")
      ->group(access);
  verb->add_option("--rate", flags->rate,
                   "Requests a second of one client; 0 = any; default 30, on 127.0.0.1 without a proxy any")
      ->check(CLI::Range(0.0, 1e6))
      ->group(access);
  verb->add_option("--burst", options.burst, "Requests of one client at once; default four seconds' worth")
      ->check(CLI::Range(1.0, 1e6))
      ->group(access);
  verb->add_option("--trusted-proxy", flags->trusted_proxies,
                   "Proxies whose X-Forwarded-For says who asks: CIDR[,CIDR], as 127.0.0.1 or 10.0.0.0/8")
      ->group(access);
  verb->add_option("--access-log", options.access_log, "File for one JSON line a request; - = standard error")
      ->group(access);
  verb->add_flag("--short-addresses", flags->short_addresses, "Log clients' networks, not whole addresses")
      ->group(access);

  const char* content = "Content";
  verb->add_option("--similar", options.similar, "Dataset of features to find similar photos in")
      ->group(content);
  verb->add_option("--contributions", options.contributions, "Folder for photos that people give")
      ->group(content);
  verb->add_option("--retention-days", flags->retention_days, "Days for which they are kept")
      ->capture_default_str()
      ->check(CLI::Range(1, 3650))
      ->group(content);
  verb->add_option("--purge-every", flags->purge_seconds, "Seconds between looks for photos to remove")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86400.0))
      ->group(content);
  verb->add_option("--catalogue", options.catalogue, "Facts about the classes (JSON) in place of the starter")
      ->group(content);
  verb->add_flag("--no-page", flags->no_page, "API only")->group(content);

  const char* limits = "Limits";
  verb->add_option("--max-body", flags->max_body, "Of one request; default 32MiB")->group(limits);
  verb->add_option("--max-body-memory", flags->max_body_memory, "Of all requests at once; default 512MiB")
      ->group(limits);
  verb->add_option("--max-pixels", options.engine.max_pixels, "Of one photo")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000))
      ->group(limits);
  verb->add_option("--max-photos", options.limits.max_photos, "In one request")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000))
      ->group(limits);
  verb->add_option("--max-header", options.http.max_header, "Bytes of a request's header")
      ->capture_default_str()
      ->check(CLI::Range(256, 1 << 20))
      ->group(limits);
  verb->add_option("--max-connections", options.http.max_connections, "In all")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000))
      ->group(limits);
  verb->add_option("--max-connections-per-client", options.http.max_connections_per_client, "Of one address")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000))
      ->group(limits);
  verb->add_option("--queue", options.engine.queue, "Photos that may wait; more are answered 503")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000))
      ->group(limits);
  const auto seconds = [&](const char* name, double& value, const char* about) {
    verb->add_option(name, value, about)
        ->capture_default_str()
        ->check(CLI::Range(0.05, 86400.0))
        ->group(limits);
  };
  seconds("--header-timeout", flags->header_seconds, "Seconds for a request's header");
  seconds("--body-timeout", flags->body_seconds, "Seconds for a request's body");
  seconds("--idle-timeout", flags->idle_seconds, "Seconds between requests");
  seconds("--write-timeout", flags->write_seconds, "Seconds for an answer to be taken");
  seconds("--patience", flags->patience_seconds, "Seconds for what is in flight at the end");

  const char* engine = "Engine";
  verb->add_option("--threads", options.engine.workers, "Workers; default: one a core")
      ->check(CLI::Range(1, 4096))
      ->group(engine);
  verb->add_option("--io-threads", options.http.threads, "Threads that move bytes")
      ->capture_default_str()
      ->check(CLI::Range(1, 256))
      ->group(engine);
  verb->add_option("--batch", options.models.batch,
                   "Photos through the network at once, under load; default: by the input size")
      ->check(CLI::Range(1, 1024))
      ->group(engine);
  verb->add_option("--batch-wait", flags->batch_wait_ms, "Milliseconds a batch may wait to fill, under load")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1000.0))
      ->group(engine);
  verb->add_option("--precision", flags->precision,
                   "auto (as in training, where this CPU can) | f32 | bf16 | int8")
      ->capture_default_str()
      ->group(engine);
  verb->add_option("--jpeg-scale", flags->jpeg_scale,
                   "Decode large JPEGs smaller: model (as trained) | auto | off")
      ->capture_default_str()
      ->check(CLI::IsMember({"model", "auto", "off"}))
      ->group(engine);
  verb->add_flag("--strict", options.models.strict, "Refuse another precision than that of training")
      ->group(engine);
  verb->add_flag("--no-compile-cache", flags->no_cache, "Compile the networks anew")->group(engine);
  verb->callback(
      [flags, &action] { action = [flags](const Context& context) { return run_serve(*flags, context); }; });
}

}  // namespace pomona::cli
