// SPDX-License-Identifier: Apache-2.0
// /metrics and /openapi.json; the table of all routes.
#include "openapi_text.h"
#include "photos.h"

namespace pomona::server {

void add_service_routes(Router& router, App& app) {
  router.add({"GET", "/metrics", kAdmin, Body::kNone, RunOn::kListener, [&app](const Call&, Reply reply) {
                if (app.refresh_gauges) app.refresh_gauges();
                Response response;
                response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                response.body = app.metrics.text();
                reply(std::move(response));
              }});
  router.add({"GET", "/openapi.json", kNobody, Body::kNone, RunOn::kListener, [](const Call&, Reply reply) {
                Response response;
                response.fixed = kOpenApi;
                response.headers.emplace_back("Cache-Control", "no-cache");
                reply(std::move(response));
              }});
}

Router make_router(App& app) {
  Router router;
  add_classify_routes(router, app);
  add_similar_routes(router, app);
  add_model_routes(router, app);
  add_kserve_routes(router, app);
  add_contribution_routes(router, app);
  add_service_routes(router, app);
  if (app.page) add_page_routes(router, app);
  return router;
}

}  // namespace pomona::server
