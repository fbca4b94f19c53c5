// SPDX-License-Identifier: Apache-2.0
// The page: its files as compiled in, what it is told about this server, and the catalogue of facts.
#include <nlohmann/json.hpp>

#include "photos.h"
#include "pomona/edge/page_files.h"

namespace pomona::server {
namespace {

using nlohmann::json;

// True where an encoding is accepted: listed, and not with q=0 (RFC 9110, 12.5.3, as browsers use it).
bool accepts(std::string_view header, std::string_view coding) {
  while (!header.empty()) {
    const std::size_t comma = header.find(',');
    std::string_view item = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    const std::size_t semicolon = item.find(';');
    std::string_view name = item.substr(0, semicolon);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (name != coding) continue;
    const std::string_view rest =
        semicolon == std::string_view::npos ? std::string_view() : item.substr(semicolon);
    return rest.find("q=0") == std::string_view::npos ||
           rest.find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

Response file_response(const PageFile& asset, const Request& request) {
  Response response;
  const std::string_view encodings = request.header("accept-encoding").value_or("");
  std::string etag = "\"" + std::string(asset.hash) + "\"";
  if (!asset.brotli.empty() && accepts(encodings, "br")) {
    response.fixed = asset.brotli;
    response.headers.emplace_back("Content-Encoding", "br");
    etag.insert(etag.size() - 1, "-br");
  } else if (!asset.gzip.empty() && accepts(encodings, "gzip")) {
    response.fixed = asset.gzip;
    response.headers.emplace_back("Content-Encoding", "gzip");
    etag.insert(etag.size() - 1, "-gz");
  } else if (asset.body.empty() && asset.size > 0) {
    return error_response(406, "encoding", "this file is there in brotli only: send Accept-Encoding: br");
  } else {
    response.fixed = asset.body;
  }
  response.content_type = asset.type;
  response.headers.emplace_back("ETag", etag);
  response.headers.emplace_back("Vary", "Accept-Encoding");
  // Names stay the same from build to build, so caches ask; the answer is 304 mostly.
  response.headers.emplace_back("Cache-Control", "no-cache");
  const auto known = request.header("if-none-match");
  if (known && (known->find(etag) != std::string_view::npos || *known == "*")) response.status = 304;
  return response;
}

}  // namespace

void add_page_routes(Router& router, App& app) {
  router.add(
      {"GET", "/config.json", kNobody, Body::kNone, RunOn::kListener, [&app](const Call&, Reply reply) {
         Response response = json_response({{"mode", "server"},
                                            {"contributions", app.contributions != nullptr},
                                            {"similar", app.similar != nullptr},
                                            {"retention_days", app.retention.count() / 24}});
         response.headers.emplace_back("Cache-Control", "no-cache");
         reply(std::move(response));
       }});
  router.add(
      {"GET", "/catalogue.json", kNobody, Body::kNone, RunOn::kListener, [&app](const Call&, Reply reply) {
         if (app.catalogue.empty()) {
           return reply(error_response(404, "no_catalogue", "this server has no catalogue of facts"));
         }
         Response response;
         response.fixed = app.catalogue;
         response.headers.emplace_back("Cache-Control", "no-cache");
         reply(std::move(response));
       }});
  for (const PageFile& file : page_files()) {
    if (file.edge_only || file.name == "config.json" || file.name == "catalogue.json") continue;
    const Handler handler = [&file](const Call& call, Reply reply) {
      reply(file_response(file, *call.request));
    };
    router.add({"GET", "/" + std::string(file.name), kNobody, Body::kNone, RunOn::kListener, handler});
    if (file.name == "index.html") router.add({"GET", "/", kNobody, Body::kNone, RunOn::kListener, handler});
  }
}

}  // namespace pomona::server
