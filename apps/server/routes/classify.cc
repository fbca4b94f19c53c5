// SPDX-License-Identifier: Apache-2.0
// /v1/classify, /v1/features, /v1/reduced.
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "photos.h"
#include "pomona/base/error.h"
#include "pomona/base/json_text.h"

namespace pomona::server {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "float32 vectors are sent as they lie in memory");

constexpr std::string_view kOctets = "application/octet-stream";

json photo_head(const PhotoAnswer& answer, const std::string& name) {
  json head = json::object();
  if (!name.empty()) head["name"] = name;
  if (answer.rejection) {
    head["error"] = rejection_json(*answer.rejection);
  } else {
    head["width"] = answer.info.width;
    head["height"] = answer.info.height;
  }
  return head;
}

// Sends work to the engine after what all routes with photos check.
void classify(App& app, Call call, Reply reply) {
  auto model = model_of(*call.request, app);
  if (!model) return reply(std::move(model.error()));
  const auto top = number_of(*call.request, "top", 3, app.limits.max_top);
  if (!top) return reply(top.error());
  auto photos = photos_of(*call.request, app.limits);
  if (!photos) return reply(std::move(photos.error()));
  auto names = std::move(photos->names);
  const bool form = photos->form;
  run_photos(app, call.request, *model, std::move(*photos), true, std::move(reply),
             [names = std::move(names), form, top = *top](Work& work, Reply answer) {
               if (!form && work.answers[0].rejection) {
                 return answer(rejected_response(work.photos[0], *work.answers[0].rejection));
               }
               json out = {{"model", model_json(*work.model)}, {"photos", json::array()}};
               for (std::size_t i = 0; i < work.answers.size(); ++i) {
                 json photo = photo_head(work.answers[i], names[i]);
                 if (!work.answers[i].rejection) {
                   photo.update(prediction_json(*work.model, work.answers[i].prediction, top));
                 }
                 out["photos"].push_back(std::move(photo));
               }
               answer(json_response(out));
             });
}

bool accepts_octets(const Request& request) {
  const auto accept = request.header("accept");
  return accept && accept->find(kOctets) != std::string_view::npos;
}

std::string vector_text(std::span<const float> values) {
  std::string text = "[";
  char number[32];
  for (const float value : values) {
    if (text.size() > 1) text += ',';
    const auto end = std::to_chars(number, number + sizeof number, value);
    text.append(number, end.ptr);
  }
  return text + "]";
}

void features(App& app, Call call, Reply reply) {
  auto model = model_of(*call.request, app);
  if (!model) return reply(std::move(model.error()));
  auto photos = photos_of(*call.request, app.limits);
  if (!photos) return reply(std::move(photos.error()));
  const bool octets = accepts_octets(*call.request);
  const bool form = photos->form;
  auto names = std::move(photos->names);
  run_photos(
      app, call.request, *model, std::move(*photos), false, std::move(reply),
      [names = std::move(names), form, octets](Work& work, Reply answer) {
        for (std::size_t i = 0; i < work.answers.size(); ++i) {
          // Bare numbers have no place for what was wrong with one photo.
          if (work.answers[i].rejection && (octets || !form)) {
            return answer(rejected_response(work.photos[i], *work.answers[i].rejection));
          }
        }
        const auto d = static_cast<std::size_t>(work.model->predictor.dimension());
        Response response;
        if (octets) {
          response.content_type = kOctets;
          response.headers.emplace_back("X-Pomona-Rows", std::to_string(work.answers.size()));
          response.headers.emplace_back("X-Pomona-Dimension", std::to_string(d));
          response.headers.emplace_back("X-Pomona-Fingerprint", work.model->identity);
          for (const PhotoAnswer& photo : work.answers) {
            response.body.append(reinterpret_cast<const char*>(photo.features.data()), d * sizeof(float));
          }
          return answer(std::move(response));
        }
        json out = {{"model", model_json(*work.model)}, {"dimension", d}};
        response.body = out.dump();
        response.body.back() = ',';
        response.body += "\"photos\":[";
        for (std::size_t i = 0; i < work.answers.size(); ++i) {
          std::string photo =
              photo_head(work.answers[i], names[i]).dump(-1, ' ', false, json::error_handler_t::replace);
          if (!work.answers[i].rejection) {
            photo.back() = ',';
            photo += "\"features\":" + vector_text(work.answers[i].features) + "}";
          }
          response.body += (i > 0 ? "," : "") + photo;
        }
        response.body += "]}\n";
        answer(std::move(response));
      });
}

// The components of a request, rows x k. Binary: float32, little-endian. JSON: a list of numbers, or of such
// lists, bare or as {"components": ...}.
std::expected<std::vector<float>, std::string> components_of(const Request& request, std::size_t k) {
  std::vector<float> rows;
  const std::string_view type = request.header("content-type").value_or("");
  if (type.starts_with(kOctets)) {
    if (request.body.empty() || request.body.size() % (k * sizeof(float)) != 0) {
      return std::unexpected("the model takes " + std::to_string(k) + " components, so " +
                             std::to_string(k * sizeof(float)) + " bytes a photo");
    }
    rows.resize(request.body.size() / sizeof(float));
    std::memcpy(rows.data(), request.body.data(), request.body.size());
  } else {
    json given = parse_json(request.body);
    if (given.is_object() && given.contains("components")) given = json(given["components"]);
    if (given.is_array() && !given.empty() && !given[0].is_array()) given = json::array({given});
    if (!given.is_array() || given.empty()) {
      return std::unexpected("the body is no list of numbers, nor {\"components\": [...]}");
    }
    for (const json& row : given) {
      if (!row.is_array() || row.size() != k) {
        return std::unexpected("the model takes " + std::to_string(k) + " components a photo");
      }
      for (const json& number : row) {
        if (!number.is_number()) return std::unexpected("a component is not a number");
        rows.push_back(number.get<float>());
      }
    }
  }
  for (const float value : rows) {
    if (!std::isfinite(value)) return std::unexpected("a component is not a finite number");
  }
  return rows;
}

void reduced(App& app, Call call, Reply reply) {
  const auto model = model_of(*call.request, app);
  if (!model) return reply(model.error());
  const auto top = number_of(*call.request, "top", 3, app.limits.max_top);
  if (!top) return reply(top.error());
  const Predictor& predictor = (*model)->predictor;
  if (!predictor.takes_components() || !predictor.model().pca) {
    return reply(error_response(409, "needs_features",
                                "this model's heads work on features, not on components: send the photo"));
  }
  const auto k = static_cast<std::size_t>(predictor.model().pca->k());
  const auto rows = components_of(*call.request, k);
  if (!rows) return reply(error_response(400, "bad_components", rows.error()));
  if (rows->size() / k > app.limits.max_photos) {
    return reply(
        error_response(413, "too_many_photos",
                       "at most " + std::to_string(app.limits.max_photos) + " photos in one request"));
  }
  call.request->photos = rows->size() / k;
  json out = {{"model", model_json(**model)}, {"photos", json::array()}};
  for (const Prediction& prediction : predictor.predict_components(*rows, rows->size() / k)) {
    out["photos"].push_back(prediction_json(**model, prediction, *top));
  }
  reply(json_response(out));
}

}  // namespace

void add_classify_routes(Router& router, App& app) {
  router.add({"POST", "/v1/classify", kClassify, Body::kPhotos, RunOn::kListener, handled_by(app, classify)});
  router.add({"POST", "/v1/features", kClassify, Body::kPhotos, RunOn::kListener, handled_by(app, features)});
  router.add({"POST", "/v1/reduced", kClassify, Body::kSmall, RunOn::kListener, handled_by(app, reduced)});
}

}  // namespace pomona::server
