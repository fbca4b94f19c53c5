// SPDX-License-Identifier: Apache-2.0
#include "photos.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "../multipart.h"
#include "pomona/image/decode.h"

namespace pomona::server {

using nlohmann::json;

namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace

Response json_response(const json& value) {
  Response response;
  response.body = value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  return response;
}

double shortest(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  double number = 0;
  std::from_chars(text, end.ptr, number);
  return number;
}

std::expected<Photos, Response> photos_of(const Request& request, const RouteLimits& limits) {
  Photos photos;
  const std::string_view type = request.header("content-type").value_or("");
  if (is_multipart(type)) {
    MultipartLimits parts;
    parts.parts = limits.max_photos + 16;
    const auto form = parse_multipart(type, request.body, parts);
    if (!form) return std::unexpected(error_response(400, "bad_form", form.error()));
    photos.form = true;
    for (const Part& part : *form) {
      if (!part.filename && part.name != "photo" && part.name != "photos") continue;
      photos.bytes.push_back(as_bytes(part.data));
      photos.names.push_back(part.filename.value_or(part.name));
    }
    if (photos.bytes.empty()) {
      return std::unexpected(
          error_response(400, "no_photo", "the form has no photo: add one as a file field"));
    }
  } else if (request.body.empty()) {
    return std::unexpected(
        error_response(400, "no_photo",
                       "the request is empty: send a photo as its body, or several as multipart/form-data"));
  } else {
    photos.bytes.push_back(as_bytes(request.body));
    photos.names.emplace_back();
  }
  if (photos.bytes.size() > limits.max_photos) {
    return std::unexpected(error_response(413, "too_many_photos",
                                          std::to_string(photos.bytes.size()) +
                                              " photos in one request: at most " +
                                              std::to_string(limits.max_photos) + " are taken"));
  }
  return photos;
}

std::expected<ModelPointer, Response> model_of(const Request& request, const App& app) {
  const std::string_view name = request.parameter("model").value_or("");
  ModelPointer model = app.models.find(name);
  if (!model) {
    return std::unexpected(error_response(
        404, "no_such_model", "there is no model of that name: GET /v1/models lists those there are"));
  }
  return model;
}

std::expected<int, Response> number_of(const Request& request, std::string_view name, int usual, int most) {
  const auto text = request.parameter(name);
  if (!text) return usual;
  int number = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size() || number < 1 || number > most) {
    return std::unexpected(
        error_response(400, "bad_parameter",
                       "?" + std::string(name) + "= takes a whole number from 1 to " + std::to_string(most)));
  }
  return number;
}

void run_photos(App& app, std::shared_ptr<Request> request, ModelPointer model, Photos photos, bool predict,
                Reply reply, std::move_only_function<void(Work&, Reply)> finish, bool pixels) {
  auto work = std::make_shared<Work>();
  work->model = std::move(model);
  work->photos = std::move(photos.bytes);
  work->predict = predict;
  work->pixels = pixels;
  request->photos = work->photos.size();
  work->owner = request;
  // Shared, for the reply is needed here too where the queue is full.
  auto held = std::make_shared<Reply>(std::move(reply));
  work->done = [&app, held, finish = std::move(finish)](Work* answered) mutable {
    Work& done = *answered;
    std::size_t rejected = 0;
    for (const PhotoAnswer& answer : done.answers) rejected += answer.rejection ? 1 : 0;
    const std::string label = Metrics::label("model", done.model->name);
    if (rejected < done.answers.size()) {
      app.metrics.add("pomona_photos_total", label + ",outcome=\"answered\"",
                      static_cast<double>(done.answers.size() - rejected));
    }
    if (rejected > 0) {
      app.metrics.add("pomona_photos_total", label + ",outcome=\"rejected\"", static_cast<double>(rejected));
    }
    if (!done.failure.empty()) return (*held)(error_response(500, "internal", done.failure));
    finish(done, std::move(*held));
  };
  if (!app.engine.submit(work)) {
    work->done = nullptr;
    app.metrics.add("pomona_events_total", Metrics::label("event", "queue_full"));
    (*held)(busy_response(503, "busy", "too many photos wait already: try again in a moment", 1));
  }
}

json rejection_json(const Rejection& rejection) {
  return {{"code", "not_a_photo"}, {"message", rejection.reason}};
}

Response rejected_response(std::span<const std::byte> bytes, const Rejection& rejection) {
  return error_response(sniff_format(bytes) ? 422 : 415, "not_a_photo", rejection.reason);
}

json model_json(const Model& model) {
  return {{"name", model.name},
          {"sha256", model.predictor.model().sha256},
          {"fingerprint", model.identity},
          {"precision", model.single.fingerprint().precision}};
}

json prediction_json(const Model& model, const Prediction& prediction, int top) {
  json answer = {{"targets", json::array()}, {"unknown", prediction.unknown}};
  if (prediction.distance) answer["distance"] = shortest(*prediction.distance);
  const auto& targets = model.predictor.model().targets;
  for (std::size_t t = 0; t < targets.size(); ++t) {
    const auto& labels = targets[t].classifier.labels;
    const TargetAnswer& own = prediction.targets[t];
    json best = json::array();
    for (const auto& [index, probability] : prediction.top(t, static_cast<std::size_t>(top))) {
      best.push_back(
          {{"label", labels[static_cast<std::size_t>(index)]}, {"probability", shortest(probability)}});
    }
    answer["targets"].push_back({{"name", targets[t].name},
                                 {"label", labels[static_cast<std::size_t>(own.best)]},
                                 {"probability", shortest(own.probability)},
                                 {"confident", own.confident},
                                 {"top", std::move(best)}});
  }
  return answer;
}

}  // namespace pomona::server
