// SPDX-License-Identifier: Apache-2.0
// The document and the routes say the same, both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "app.h"
#include "openapi_text.h"
#include "pomona/base/text.h"
#include "pomona/contributions/contributions.h"
#include "pomona/edge/page_files.h"

namespace pomona::server {
namespace {

using nlohmann::json;

class OpenApi : public testing::Test {
 protected:
  static EngineOptions one_worker() {
    EngineOptions options;
    options.workers = 1;
    return options;
  }

  OpenApi() : engine_(one_worker(), [](std::size_t, double) {}), chores_(1, 1) {}

  Models models_;
  Metrics metrics_;
  Engine engine_;
  Chores chores_;
  App app_{models_, engine_, chores_, metrics_, {}, {}, {}, {}, {}, [] { return true; }, {}, true};
  Router router_ = make_router(app_);
  json document_ = json::parse(kOpenApi);
};

bool of_the_page(const Route& route) {
  if (route.pattern == "/config.json" || route.pattern == "/catalogue.json") return false;
  return route.pattern == "/" || find_page_file(route.pattern.substr(1)) != nullptr;
}

TEST_F(OpenApi, NamesEveryRouteAndNoOther) {
  std::set<std::string> routes;
  for (const Route& route : router_.routes()) {
    if (!of_the_page(route)) routes.insert(route.method + " " + route.pattern);
  }
  std::set<std::string> documented;
  for (const auto& [path, item] : document_["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (method == "parameters") continue;
      std::string upper = method;
      std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
      documented.insert(upper + " " + path);
    }
  }
  EXPECT_EQ(routes, documented);
}

TEST_F(OpenApi, SaysWhichScopeEachRouteNeeds) {
  for (const Route& route : router_.routes()) {
    if (of_the_page(route)) continue;
    const std::string method = lower_case(route.method);
    const json& operation = document_["paths"][route.pattern][method];
    EXPECT_EQ(operation.value("x-scope", ""), scopes_text(route.scope)) << route.pattern;
    EXPECT_EQ(operation.contains("requestBody"), route.body != Body::kNone) << route.pattern;
    EXPECT_EQ(operation["responses"].contains("401"), route.scope != kNobody) << route.pattern;
    for (std::size_t brace = route.pattern.find('{'); brace != std::string::npos;
         brace = route.pattern.find('{', brace + 1)) {
      const std::string name = route.pattern.substr(brace + 1, route.pattern.find('}', brace) - brace - 1);
      const bool named = std::ranges::any_of(
          operation.value("parameters", json::array()),
          [&](const json& one) { return one.value("in", "") == "path" && one.value("name", "") == name; });
      EXPECT_TRUE(named) << route.pattern;
    }
  }
}

TEST_F(OpenApi, ErrorsOfKServesRoutesHaveItsForm) {
  for (const auto& [path, item] : document_["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (method == "parameters") continue;
      for (const auto& [status, response] : operation.at("responses").items()) {
        const std::string kind = response.value("$ref", "");
        if (kind.empty()) continue;
        EXPECT_EQ(kind.starts_with("#/components/responses/KServe"), path.starts_with("/v2"))
            << path << status;
      }
    }
  }
}

TEST_F(OpenApi, ReferencesLeadSomewhere) {
  const std::function<void(const json&)> walk = [&](const json& value) {
    if (value.is_object() && value.contains("$ref")) {
      const std::string to = value["$ref"].get<std::string>().substr(1);
      EXPECT_TRUE(document_.contains(json::json_pointer(to))) << to;
    }
    if (value.is_structured()) {
      for (const json& one : value) walk(one);
    }
  };
  walk(document_);
}

}  // namespace
}  // namespace pomona::server
