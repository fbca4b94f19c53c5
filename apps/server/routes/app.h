// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../chores.h"
#include "../engine.h"
#include "../metrics.h"
#include "../models.h"
#include "../similar_index.h"
#include "router.h"

namespace pomona {
class ContributionStore;
}

namespace pomona::server {

struct RouteLimits {
  std::size_t max_body = 32u << 20;        // bytes of a request with photos
  std::size_t max_small_body = 64u << 10;  // bytes of other requests
  std::size_t max_photos = 64;             // in one request
  int max_top = 1000;
};

// What the routes work with. Outlives the listener.
struct App {
  Models& models;
  Engine& engine;
  Chores& chores;
  Metrics& metrics;
  RouteLimits limits;
  std::unique_ptr<SimilarIndex> similar;             // null without --similar
  std::unique_ptr<ContributionStore> contributions;  // null without --contributions
  std::chrono::hours retention{14 * 24};
  std::string catalogue;  // JSON; empty = there is none
  std::function<bool()> ready;
  std::function<void()> refresh_gauges;  // before /metrics is written
  bool page = true;                      // serve the page
  // Takes what went wrong here, for the log; those who asked are not told where our files lie.
  std::function<void(const std::string&)> warn = {};
};

// A handler of the router that works with `app`.
inline Handler handled_by(App& app, void (*handler)(App&, Call, Reply)) {
  return [&app, handler](Call call, Reply reply) { handler(app, std::move(call), std::move(reply)); };
}

// Each adds what its name says.
void add_classify_routes(Router& router, App& app);  // /v1/classify, /v1/features, /v1/reduced
void add_similar_routes(Router& router, App& app);   // /v1/similar, its thumbnails
void add_model_routes(Router& router, App& app);     // /v1/models
void add_kserve_routes(Router& router, App& app);    // /v2...
void add_contribution_routes(Router& router, App& app);
void add_service_routes(Router& router, App& app);  // /metrics, /openapi.json
void add_page_routes(Router& router, App& app);     // config.json, catalogue.json and the page's files

// All of them.
Router make_router(App& app);

}  // namespace pomona::server
