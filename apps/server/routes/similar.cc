// SPDX-License-Identifier: Apache-2.0
// /v1/similar and its thumbnails.
#include <charconv>
#include <nlohmann/json.hpp>

#include "photos.h"

namespace pomona::server {
namespace {

using nlohmann::json;

constexpr int kMostSimilar = 200;

Response no_dataset() {
  return error_response(404, "no_dataset", "this server was started without --similar DATASET");
}

struct Query {
  std::string name;
  PhotoInfo info;
  std::vector<float> features;
  std::optional<Rejection> rejection;
};

void similar(App& app, Call call, Reply reply) {
  if (!app.similar) return reply(no_dataset());
  auto model = model_of(*call.request, app);
  if (!model) return reply(std::move(model.error()));
  if (static_cast<std::size_t>((*model)->predictor.dimension()) != app.similar->dimension() ||
      (*model)->identity != app.similar->identity()) {
    return reply(
        error_response(409, "other_network",
                       "the dataset's features are not those of this model's network: name another model"));
  }
  const auto k = number_of(*call.request, "k", 12, kMostSimilar);
  if (!k) return reply(k.error());
  auto photos = photos_of(*call.request, app.limits);
  if (!photos) return reply(std::move(photos.error()));
  auto names = std::move(photos->names);
  const bool form = photos->form;
  run_photos(
      app, call.request, *model, std::move(*photos), false, std::move(reply),
      [&app, names = std::move(names), form, k = *k](Work& work, Reply answer) {
        if (!form && work.answers[0].rejection) {
          return answer(rejected_response(work.photos[0], *work.answers[0].rejection));
        }
        std::vector<Query> queries;
        for (std::size_t i = 0; i < work.answers.size(); ++i) {
          PhotoAnswer& photo = work.answers[i];
          queries.push_back({names[i], photo.info, std::move(photo.features), std::move(photo.rejection)});
        }
        // The search takes its time; the worker is for photos. Where the chores are full the reply, let go
        // of, would answer 500: it is kept so that it can answer 503.
        auto held = std::make_shared<Reply>(std::move(answer));
        auto search = [&app, held, model = work.model, queries = std::move(queries), k] {
          json out = {{"model", model_json(*model)}, {"photos", json::array()}};
          for (const Query& query : queries) {
            json photo = json::object();
            if (!query.name.empty()) photo["name"] = query.name;
            if (query.rejection) {
              photo["error"] = rejection_json(*query.rejection);
            } else {
              photo["width"] = query.info.width;
              photo["height"] = query.info.height;
              photo["similar"] = json::array();
              for (const SimilarRow& row :
                   app.similar->nearest(query.features, static_cast<std::size_t>(k))) {
                json one = {{"row", row.row}, {"path", row.path}, {"similarity", row.similarity}};
                if (row.label) one["label"] = *row.label;
                if (app.similar->has_thumbnails()) {
                  one["thumbnail"] = "v1/similar/thumbnail/" + std::to_string(row.row);
                }
                photo["similar"].push_back(std::move(one));
              }
            }
            out["photos"].push_back(std::move(photo));
          }
          (*held)(json_response(out));
        };
        if (!app.chores.post(std::move(search))) {
          (*held)(busy_response(503, "busy", "too many searches wait already: try again in a moment", 1));
        }
      });
}

void thumbnail(App& app, Call call, Reply reply) {
  if (!app.similar) return reply(no_dataset());
  const std::string& text = call.arguments[0];
  std::uint64_t row = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), row);
  const bool number = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  auto jpeg = number ? app.similar->thumbnail(row) : nullptr;
  if (!jpeg) return reply(error_response(404, "no_thumbnail", "there is no thumbnail of that number"));
  Response response;
  response.content_type = "image/jpeg";
  response.headers.emplace_back("Cache-Control", "private, max-age=3600");
  response.fixed = *jpeg;
  response.keep = std::move(jpeg);
  reply(std::move(response));
}

}  // namespace

void add_similar_routes(Router& router, App& app) {
  router.add({"POST", "/v1/similar", kClassify, Body::kPhotos, RunOn::kListener, handled_by(app, similar)});
  router.add({"GET", "/v1/similar/thumbnail/{row}", kClassify, Body::kNone, RunOn::kChores,
              handled_by(app, thumbnail)});
}

}  // namespace pomona::server
