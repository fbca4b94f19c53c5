// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app.h"

namespace pomona::server {

// The photos of a request's body.
struct Photos {
  std::vector<std::span<const std::byte>> bytes;  // into the request's body
  std::vector<std::string> names;                 // as sent; empty for a bare body
  bool form = false;                              // multipart, so that answers come per photo
};

// A body that is one photo, or a multipart form of several (any field with a file). Refused with an answer.
std::expected<Photos, Response> photos_of(const Request& request, const RouteLimits& limits);

// The model of ?model=, or the default. Refused with 404.
std::expected<ModelPointer, Response> model_of(const Request& request, const App& app);

// A number of the query within 1 .. most; `usual` where it is not given. Refused with 400.
std::expected<int, Response> number_of(const Request& request, std::string_view name, int usual, int most);

// Sends a request's photos to the engine; `finish` makes the answer, on a worker. Replies itself where that
// is not possible: 503 with Retry-After where the queue is full. `pixels`: not encoded, the network's own
// size.
void run_photos(App& app, std::shared_ptr<Request> request, ModelPointer model, Photos photos, bool predict,
                Reply reply, std::move_only_function<void(Work&, Reply)> finish, bool pixels = false);

// {"code": "not_a_photo", "message": reason}
nlohmann::json rejection_json(const Rejection& rejection);
// 422 for one photo that was refused, 415 where it is of no known format.
Response rejected_response(std::span<const std::byte> bytes, const Rejection& rejection);

// {"name", "sha256", "fingerprint", "precision"}
nlohmann::json model_json(const Model& model);
// What a prediction says, for all targets: {"targets": [...], "unknown", "distance"?}.
nlohmann::json prediction_json(const Model& model, const Prediction& prediction, int top);

// The shortest decimal number that is `value` in float32, as a double for JSON.
double shortest(float value);

Response json_response(const nlohmann::json& json);

}  // namespace pomona::server
