// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "access_log.h"
#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/base/text.h"
#include "pomona/contributions/contributions.h"
#include "pomona/edge/page_files.h"
#include "rate_limit.h"

namespace pomona::server {
namespace {

constexpr std::size_t kChores = 256;  // that may wait

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// As browsers name it: no path, small letters. What none of them ever sends would let nobody in, and say
// nothing.
std::string origin_of(const std::string& given) {
  std::string origin = lower_case(given);
  if (origin.ends_with('/')) origin.pop_back();
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!origin.starts_with(scheme) || origin.size() == scheme.size()) continue;
    if (origin.find_first_of("/?#@*, ", scheme.size()) == std::string::npos) return origin;
  }
  throw Error(ErrorCode::kUsage,
              "--cors " + given +
                  ": give one origin of a page, as https://fruit.example.org, with its port "
                  "where that is not the usual one");
}

void describe(Metrics& metrics) {
  metrics.describe_counter("pomona_requests_total", "Requests answered, by route, method and status.");
  metrics.describe_histogram("pomona_request_seconds",
                             "Seconds from a request's first byte to its answer's last.",
                             {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10});
  metrics.describe_counter("pomona_photos_total", "Photos, by model and outcome.");
  metrics.describe_histogram("pomona_batch_photos", "Photos that ran through the network together.",
                             {1, 2, 4, 8, 16, 32});
  metrics.describe_counter("pomona_inference_seconds_total", "Seconds that workers spent in the network.");
  metrics.describe_gauge("pomona_queue_photos", "Photos that wait for a worker.");
  metrics.describe_gauge("pomona_connections", "Connections that are open.");
  metrics.describe_counter("pomona_events_total",
                           "Connections, and what was refused or went wrong outside of routes, by event.");
  metrics.describe_counter("pomona_contributions_total", "Contributions added, withdrawn and purged.");
  metrics.describe_counter("pomona_reloads_total", "Reloads (SIGHUP), by outcome.");
  metrics.describe_gauge("pomona_model_info", "The models in use; always 1.");
  metrics.describe_gauge("pomona_build_info", "The program's version; always 1.");
  metrics.describe_gauge("process_resident_memory_bytes", "Resident memory.");
  metrics.describe_counter("process_cpu_seconds_total", "CPU time used.");
  metrics.describe_gauge("process_start_time_seconds", "When the process started, seconds since 1970.");
  metrics.set("pomona_build_info", 1, Metrics::label("version", POMONA_VERSION));
  metrics.set("process_start_time_seconds", static_cast<double>(std::time(nullptr)));
}

class Server final : public Site {
 public:
  Server(const ServerOptions& options, const ServerHooks& hooks)
      : options_(options),
        hooks_(hooks),
        limit_(options.rate, options.burst > 0 ? options.burst : std::max(1.0, 4 * options.rate)),
        log_(options.access_log, options.log_addresses) {
    describe(metrics_);
    if (!options_.cors.empty()) options_.cors = origin_of(options_.cors);
    read_tokens();
    engine_.emplace(options_.engine, [this](std::size_t photos, double seconds) {
      metrics_.observe("pomona_batch_photos", static_cast<double>(photos));
      metrics_.add("pomona_inference_seconds_total", {}, seconds);
    });
    options_.models.workers = engine_->workers();
    use(std::make_shared<const ModelSet>(
        load_models(options_.models, [this](const auto& text) { warn(text); })));
    const auto complain = [this](const std::string& text) { warn(text); };
    chores_.emplace(std::max(1, engine_->workers() / 2), kChores, complain);
    app_.emplace(App{models_,
                     *engine_,
                     *chores_,
                     metrics_,
                     options_.limits,
                     {},
                     {},
                     options_.retention,
                     {},
                     [this] { return !stopping_.load(); },
                     [this] { gauges(); },
                     options_.page,
                     complain});
    open_extras();
    router_ = make_router(*app_);
    http_.emplace(options_.http, *this);
  }

  // First nobody asks any more, then nobody works, and only then go the connections that replies still hold.
  ~Server() override {
    if (http_) http_->stop(std::chrono::milliseconds(0));
    if (engine_) engine_->end();
    if (chores_) chores_->end();
  }

  bool run(std::stop_token stop) {
    http_->on_hangup([this] {
      const std::lock_guard lock(mutex_);
      reload_asked_ = true;
      wake_.notify_all();
    });
    http_->start();
    hooks_.listening(http_->port());
    const std::stop_callback waker(stop, [this] {
      const std::lock_guard lock(mutex_);
      wake_.notify_all();
    });
    purge();
    auto next_purge = std::chrono::steady_clock::now() + options_.purge_every;
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      wake_.wait_until(lock, next_purge, [&] { return reload_asked_ || stop.stop_requested(); });
      const bool asked = std::exchange(reload_asked_, false);
      lock.unlock();
      if (asked) reload();
      if (std::chrono::steady_clock::now() >= next_purge) {
        purge();
        next_purge = std::chrono::steady_clock::now() + options_.purge_every;
      }
      lock.lock();
    }
    lock.unlock();
    stopping_ = true;
    return http_->stop(options_.patience);
  }

  // Site.
  std::optional<Response> admit(Request& head, std::size_t& body_limit) override {
    head.client = options_.http.proxies.client(head);
    const bool preflight = head.method == "OPTIONS" && !options_.cors.empty();
    Match match = router_.find(head.method, head.path);
    if (match.route != nullptr) head.route = match.route->pattern;
    const auto tokens = this->tokens();
    Scopes scopes = options_.open_scopes;
    bool presented = false;
    if (tokens) {
      const auto authorization = head.header("authorization");
      const auto secret = authorization ? bearer(*authorization) : std::nullopt;
      presented = authorization.has_value();
      if (const TokenRecord* token = secret ? tokens->find(*secret) : nullptr) {
        head.token = token->name;
        scopes |= token->scopes;
      }
    }
    const bool health = head.path.starts_with("/v2/health/");
    if (!health) {
      const std::string client = head.token.empty() ? RateLimit::key(head.client) : "token " + head.token;
      if (const double wait = limit_.take(client); wait > 0) {
        event("rate_limited");
        return busy_response(429, "too_many_requests", "this client sends more requests than are allowed",
                             static_cast<int>(std::ceil(wait)));
      }
    }
    if (preflight) return preflight_response();
    if (match.route == nullptr) return unknown(match);
    const Scopes needed = tokens ? match.route->scope : Scopes{kNobody};
    if (needed != kNobody && (scopes & needed) == 0) {
      if (head.token.empty()) {
        Response response =
            error_response(401, "no_token",
                           presented ? "this is not a token of this server"
                                     : "this needs an API token: send Authorization: Bearer TOKEN");
        response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"pomona\"");
        return response;
      }
      return error_response(403, "scope",
                            "the token is not good for this: it needs the scope " + scopes_text(needed));
    }
    switch (match.route->body) {
      case Body::kNone:
        body_limit = 0;
        break;
      case Body::kSmall:
        body_limit = options_.limits.max_small_body;
        break;
      case Body::kPhotos:
        body_limit = options_.limits.max_body;
        break;
    }
    return std::nullopt;
  }

  void serve(std::shared_ptr<Request> request, Reply reply) override {
    Match match = router_.find(request->method, request->path);
    Call call{std::move(request), std::move(match.arguments)};
    if (match.route->run_on == RunOn::kListener) {
      try {
        match.route->handler(std::move(call), std::move(reply));
      } catch (const std::exception& error) {
        warn(error.what());  // the answer, sent when the reply goes away, is to see the log
      }
      return;
    }
    auto held = std::make_shared<Reply>(std::move(reply));
    const bool posted = chores_->post([route = match.route, call = std::move(call), held]() mutable {
      route->handler(std::move(call), std::move(*held));
    });
    if (!posted)
      (*held)(busy_response(503, "busy", "too many requests wait already: try again in a moment", 1));
  }

  void decorate(const Request* request, Response& response) override {
    // Clients of KServe's protocol know its own form of errors only, whoever of us refuses.
    if (request != nullptr && (request->path == "/v2" || request->path.starts_with("/v2/"))) {
      response = in_kserve_form(std::move(response));
    }
    auto& headers = response.headers;
    headers.emplace_back("X-Content-Type-Options", "nosniff");
    headers.emplace_back("Referrer-Policy", "no-referrer");
    headers.emplace_back("X-Frame-Options", "DENY");
    headers.emplace_back("Cross-Origin-Resource-Policy",
                         options_.cors.empty() ? "same-origin" : "cross-origin");
    if (response.content_type.starts_with("text/html")) {
      headers.emplace_back(
          "Content-Security-Policy",
          "default-src 'self'; img-src 'self' blob: data:; script-src 'self' 'wasm-unsafe-eval'; "
          "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
          "form-action 'self'; frame-ancestors 'none'");
      headers.emplace_back("Permissions-Policy", "camera=(self), geolocation=(), microphone=()");
      headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    } else if (response.content_type.starts_with("text/javascript")) {
      // The service worker lives by the policy of its own script, and fetches the page's files.
      headers.emplace_back("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'");
    } else {
      headers.emplace_back("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    }
    if (!options_.http.tls_certificate.empty()) {
      headers.emplace_back("Strict-Transport-Security", "max-age=31536000");
    }
    const bool cached =
        std::ranges::any_of(headers, [](const auto& one) { return one.first == "Cache-Control"; });
    if (!cached) headers.emplace_back("Cache-Control", "no-store");
    if (!options_.cors.empty()) {
      headers.emplace_back("Vary", "Origin");
      const auto origin = request != nullptr ? request->header("origin") : std::nullopt;
      if (origin && *origin == options_.cors) {
        headers.emplace_back("Access-Control-Allow-Origin", options_.cors);
        headers.emplace_back("Access-Control-Expose-Headers",
                             "Retry-After, X-Pomona-Rows, X-Pomona-Dimension, X-Pomona-Fingerprint, "
                             "Inference-Header-Content-Length");
      }
    }
  }

  void finished(const Request& request, int status, std::size_t bytes, double seconds) override {
    const std::string route = Metrics::label("route", request.route.empty() ? "none" : request.route);
    metrics_.add("pomona_requests_total",
                 route + "," + Metrics::label("method", request.route.empty() ? "any" : request.method) +
                     "," + Metrics::label("status", std::to_string(status)));
    metrics_.observe("pomona_request_seconds", seconds, route);
    log_.write(request, status, bytes, seconds);
  }

  void event(std::string_view name) override {
    metrics_.add("pomona_events_total", Metrics::label("event", name));
  }

 private:
  void warn(const std::string& text) {
    const std::lock_guard lock(speak_);
    hooks_.warning(text);
  }
  void note(const std::string& text) {
    const std::lock_guard lock(speak_);
    hooks_.note(text);
  }

  std::shared_ptr<const TokenFile> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }

  void read_tokens() {
    if (!options_.tokens) return;
    auto fresh = std::make_shared<const TokenFile>(TokenFile::read(*options_.tokens));
    if (fresh->tokens().empty()) warn(*options_.tokens + " holds no token: nobody can use what needs one");
    const std::lock_guard lock(mutex_);
    tokens_ = std::move(fresh);
  }

  void open_extras() {
    App& app = *app_;
    const ModelPointer model = models_.find("");
    if (options_.similar) {
      app.similar = std::make_unique<SimilarIndex>(*options_.similar, model->single.fingerprint(),
                                                   [this](const auto& text) { warn(text); });
      note(fmt::format("similar photos from {} ({} rows)", *options_.similar, app.similar->rows()));
    }
    if (options_.contributions) {
      ContributionOptions store;
      store.max_photo_bytes = std::min<std::uint64_t>(store.max_photo_bytes, options_.limits.max_body);
      store.max_pixels = options_.engine.max_pixels;
      store.retention = options_.retention;
      app.contributions =
          std::make_unique<ContributionStore>(ContributionStore::open(*options_.contributions, store));
    }
    const PageFile* starter = find_page_file("catalogue.json");
    if (options_.catalogue) {
      app.catalogue = read_file(*options_.catalogue);
    } else if (starter != nullptr) {
      app.catalogue = starter->body;
    }
    if (options_.catalogue && !nlohmann::json::accept(app.catalogue)) {
      throw Error(ErrorCode::kFormat, *options_.catalogue + " is not JSON: no catalogue of facts");
    }
  }

  // New models come to work before the old ones go, so that no request waits or fails.
  void use(std::shared_ptr<const ModelSet> fresh) {
    const ModelSet old = *models_.all();
    auto both = std::make_shared<ModelSet>(old);
    both->insert(both->begin(), fresh->begin(), fresh->end());
    engine_->prepare(both);
    models_.use(fresh);
    for (const ModelPointer& model : old) metrics_.set("pomona_model_info", 0, info_label(*model));
    for (const ModelPointer& model : *fresh) metrics_.set("pomona_model_info", 1, info_label(*model));
    if (!old.empty()) engine_->prepare(fresh);
  }

  static std::string info_label(const Model& model) {
    return Metrics::label("model", model.name) + "," +
           Metrics::label("sha256", model.predictor.model().sha256.substr(0, 16)) + "," +
           Metrics::label("precision", model.single.fingerprint().precision);
  }

  void reload() {
    bool good = true;
    const auto attempt = [&](const std::string& what, const auto& action) {
      try {
        action();
      } catch (const std::exception& error) {
        good = false;
        warn(what + " stay as they were: " + error.what());
      }
    };
    attempt("models", [&] {
      use(std::make_shared<const ModelSet>(
          load_models(options_.models, [this](const auto& text) { warn(text); })));
      if (app_->similar && models_.find("")->identity != app_->similar->identity()) {
        warn("the new model's network is not the one that made " + *options_.similar +
             ": similar photos are refused until the server is started with a dataset of it");
      }
    });
    attempt("tokens", [&] { read_tokens(); });
    attempt("certificate and key", [&] { http_->reload_tls(); });
    attempt("log and its file", [&] { log_.reopen(); });
    metrics_.add("pomona_reloads_total", Metrics::label("outcome", good ? "done" : "failed"));
    note(good ? "reloaded" : "reloaded in part");
  }

  void purge() {
    if (!app_->contributions) return;
    try {
      const PurgedContributions gone = app_->contributions->purge(options_.retention);
      if (gone.removed == 0) return;
      metrics_.add("pomona_contributions_total", Metrics::label("what", "purged"),
                   static_cast<double>(gone.removed));
      note(fmt::format("retention: {} contributed photos were removed", gone.removed));
    } catch (const std::exception& error) {
      warn(std::string("contributions could not be purged: ") + error.what());
    }
  }

  void gauges() {
    metrics_.set("pomona_queue_photos", static_cast<double>(engine_->waiting()));
    metrics_.set("pomona_connections", http_ ? http_->connections() : 0);
    metrics_.set("process_resident_memory_bytes", static_cast<double>(resident_bytes()));
    metrics_.set("process_cpu_seconds_total", cpu_seconds());
  }

  static Response unknown(const Match& match) {
    if (match.methods.empty()) {
      return error_response(404, "no_such_path",
                            "there is nothing of that name: GET /openapi.json says what there is");
    }
    std::string allowed;
    for (const std::string& method : match.methods) allowed += (allowed.empty() ? "" : ", ") + method;
    Response response = error_response(405, "method", "this path takes " + allowed);
    response.headers.emplace_back("Allow", allowed);
    return response;
  }

  static Response preflight_response() {
    Response response;
    response.status = 204;
    response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE");
    response.headers.emplace_back("Access-Control-Allow-Headers",
                                  "Authorization, Content-Type, Accept, Inference-Header-Content-Length");
    response.headers.emplace_back("Access-Control-Max-Age", "600");
    return response;
  }

  ServerOptions options_;
  ServerHooks hooks_;
  std::mutex speak_;
  Metrics metrics_;
  RateLimit limit_;
  AccessLog log_;
  Models models_;
  mutable std::mutex mutex_;  // guards what follows, up to `wake_`
  std::shared_ptr<const TokenFile> tokens_;
  bool reload_asked_ = false;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  // In this order: each uses those above it and ends before them.
  std::optional<App> app_;
  std::optional<Engine> engine_;
  std::optional<Chores> chores_;
  Router router_;
  std::optional<HttpServer> http_;
};

}  // namespace

bool serve(const ServerOptions& options, const ServerHooks& hooks, std::stop_token stop) {
  Server server(options, hooks);
  return server.run(std::move(stop));
}

}  // namespace pomona::server
