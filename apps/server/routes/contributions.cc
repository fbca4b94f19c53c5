// SPDX-License-Identifier: Apache-2.0
// /v1/contributions: photos that people give with a label and with consent, and take back with a code.
#include "pomona/contributions/contributions.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "../multipart.h"
#include "photos.h"
#include "pomona/base/error.h"
#include "pomona/base/text.h"

namespace pomona::server {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestText = 200;
constexpr std::string_view kConsentText = "page-1";  // the version of the text that `consent=true` stands for

Response no_store() {
  return error_response(404, "no_contributions", "this server takes no contributions (--contributions DIR)");
}

Response failure(const App& app, const Error& error) {
  if (dynamic_cast<const ContributionsFull*>(&error) != nullptr) {
    return busy_response(503, "contributions_full",
                         "no more contributions can be taken now: try again another day", 3600);
  }
  if (error.code() == ErrorCode::kUsage) return error_response(400, "bad_contribution", error.what());
  if (app.warn) app.warn(error.what());
  if (error.code() == ErrorCode::kUnavailable) {
    return busy_response(503, "busy",
                         "another program is at work on the contributions: try again in a moment", 5);
  }
  if (dynamic_cast<const DiskFull*>(&error) != nullptr) {
    return error_response(507, "disk_full",
                          "the server has no space left for contributions: nothing was changed");
  }
  return error_response(500, "internal", "the store of contributions failed: see the server's log");
}

// What a form says; empty texts where it does not.
struct Form {
  std::span<const std::byte> photo;
  NewContribution contribution;
  bool agreed = false;
};

std::expected<Form, Response> read_form(const Request& request, const App& app) {
  const std::string_view type = request.header("content-type").value_or("");
  if (!is_multipart(type)) {
    return std::unexpected(
        error_response(415, "bad_form", "send a form: multipart/form-data with photo, label, consent"));
  }
  const auto parts = parse_multipart(type, request.body);
  if (!parts) return std::unexpected(error_response(400, "bad_form", parts.error()));
  Form form;
  std::string model_name;
  for (const Part& part : *parts) {
    if (part.name == "photo") {
      if (form.photo.data() != nullptr) {
        return std::unexpected(error_response(400, "bad_form", "one contribution is one photo"));
      }
      form.photo = {reinterpret_cast<const std::byte*>(part.data.data()), part.data.size()};
      continue;
    }
    if (part.data.size() > kLongestText || !is_utf8(part.data)) {
      return std::unexpected(
          error_response(400, "bad_form", "a text of the form is longer than 200 bytes or not UTF-8"));
    }
    const std::string text(part.data);
    const auto labelled = [&](const std::string& target) {
      ContributionLabel label;
      label.target = target;
      label.label = text;
      form.contribution.labels.push_back(std::move(label));
    };
    if (part.name == "label") {
      labelled("");
    } else if (part.name.starts_with("label.") && part.name.size() <= 6 + kLongestText) {
      labelled(part.name.substr(6));
    } else if (part.name == "consent") {
      form.agreed = text == "true" || text == "yes" || text == "1" || text == "on";
    } else if (part.name == "consent_text") {
      form.contribution.consent = text;
    } else if (part.name == "model") {
      model_name = text;
    } else if (part.name == "pseudonym") {
      form.contribution.pseudonym = text;
    }
  }
  if (!form.agreed) {
    return std::unexpected(error_response(400, "no_consent", "without consent=true no photo is stored"));
  }
  if (form.photo.empty()) return std::unexpected(error_response(400, "no_photo", "the form has no photo"));
  const bool labelled =
      std::ranges::any_of(form.contribution.labels, [](const auto& one) { return !one.label.empty(); });
  if (!labelled) return std::unexpected(error_response(400, "no_label", "the form has no label"));
  if (form.contribution.consent.empty()) form.contribution.consent = kConsentText;
  const ModelPointer model = app.models.find(model_name);
  if (!model) return std::unexpected(error_response(404, "no_such_model", "there is no model of that name"));
  form.contribution.model = model->name;
  form.contribution.model_sha256 = model->predictor.model().sha256;
  // A bare label is about the model's first target.
  const auto& targets = model->predictor.model().targets;
  for (ContributionLabel& label : form.contribution.labels) {
    if (label.target.empty()) label.target = targets.front().name;
    const bool known =
        std::ranges::any_of(targets, [&](const Target& one) { return one.name == label.target; });
    if (!known)
      return std::unexpected(error_response(400, "no_such_target", "the model has no target of that name"));
  }
  form.contribution.photo = form.photo;
  return form;
}

// What the model itself says of the photo is asked here, not believed from the sender.
void contribute(App& app, Call call, Reply reply) {
  if (!app.contributions) return reply(no_store());
  auto form = read_form(*call.request, app);
  if (!form) return reply(std::move(form.error()));
  Photos photos;
  photos.bytes = {form->photo};
  const ModelPointer model = app.models.find(form->contribution.model);
  if (!model) return reply(error_response(404, "no_such_model", "there is no model of that name"));
  run_photos(app, call.request, model, std::move(photos), true, std::move(reply),
             [&app, request = call.request, contribution = std::move(form->contribution)](
                 Work& work, Reply answer) mutable {
               if (work.answers[0].rejection) {
                 return answer(rejected_response(work.photos[0], *work.answers[0].rejection));
               }
               const Prediction& said = work.answers[0].prediction;
               const auto& targets = work.model->predictor.model().targets;
               for (ContributionLabel& label : contribution.labels) {
                 for (std::size_t t = 0; t < targets.size(); ++t) {
                   if (targets[t].name != label.target) continue;
                   label.said = targets[t].classifier.labels[static_cast<std::size_t>(said.targets[t].best)];
                   label.probability = static_cast<double>(said.targets[t].probability);
                 }
               }
               auto held = std::make_shared<Reply>(std::move(answer));
               auto store = [&app, held, request, contribution = std::move(contribution)] {
                 try {
                   const auto receipt = app.contributions->add(contribution);
                   if (!receipt) return (*held)(rejected_response(contribution.photo, receipt.error()));
                   app.metrics.add("pomona_contributions_total", Metrics::label("what", "added"));
                   Response response = json_response(
                       {{"code", receipt->code}, {"date", receipt->date}, {"expires", receipt->expires}});
                   response.status = 201;
                   (*held)(std::move(response));
                 } catch (const Error& error) {
                   (*held)(failure(app, error));
                 }
               };
               if (!app.chores.post(std::move(store))) {
                 (*held)(busy_response(503, "busy", "too much waits to be stored: try again in a moment", 2));
               }
             });
}

void withdraw(App& app, Call call, Reply reply) {
  if (!app.contributions) return reply(no_store());
  try {
    const auto removal =
        call.arguments[0].size() > kLongestText ? std::nullopt : app.contributions->remove(call.arguments[0]);
    if (!removal) return reply(error_response(404, "no_such_code", "no contribution has this code"));
    app.metrics.add("pomona_contributions_total", Metrics::label("what", "withdrawn"));
    json uses = json::array();
    for (const ContributionUse& use : removal->uses) {
      // Where datasets and models lie on the owner's disks is not for the contributor.
      const std::size_t slash = use.name.find_last_of('/', use.name.size() < 2 ? 0 : use.name.size() - 2);
      uses.push_back({{"kind", use.kind},
                      {"name", slash == std::string::npos ? use.name : use.name.substr(slash + 1)},
                      {"date", use.date}});
      if (!use.sha256.empty()) uses.back()["sha256"] = use.sha256;
    }
    reply(json_response(
        {{"removed", removal->photo_removed}, {"date", removal->date}, {"uses", std::move(uses)}}));
  } catch (const Error& error) {
    reply(failure(app, error));
  }
}

}  // namespace

void add_contribution_routes(Router& router, App& app) {
  router.add({"POST", "/v1/contributions", kContribute, Body::kPhotos, RunOn::kListener,
              handled_by(app, contribute)});
  router.add({"DELETE", "/v1/contributions/{code}", kContribute, Body::kNone, RunOn::kChores,
              handled_by(app, withdraw)});
}

}  // namespace pomona::server
