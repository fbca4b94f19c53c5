// SPDX-License-Identifier: Apache-2.0
#include "recipe.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "embedded_recipes.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"

namespace pomona::cli {
namespace {

nlohmann::json parse(const std::string& name, std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false, true);
  if (!json.is_object() || !json.contains("options") || !json["options"].is_object()) {
    throw Error(ErrorCode::kFormat, "recipe " + name + " is not a JSON object with \"options\" in it");
  }
  return json;
}

nlohmann::json load(const std::string& name) {
  std::string names;
  for (const auto& [known, text] : kRecipes) {
    if (known == name) return parse(name, text);
    names += (names.empty() ? "" : ", ") + std::string(known);
  }
  try {
    return parse(name, read_file(name));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    throw Error(ErrorCode::kNotFound,
                "there is no recipe '" + name + "', and no such file. There are: " + names);
  }
}

// Whether an option was typed, in any of its spellings: --components 5, --components=5, -k 5, -k5. A share of
// the variance takes the place of a number of components, and the other way round.
bool typed(const std::vector<std::string>& arguments, const std::string& key) {
  std::vector<std::string> flags = {"--" + key};
  const bool components = key == "components" || key == "variance";
  if (components) flags = {"--components", "--variance"};
  return std::ranges::any_of(arguments, [&](const std::string& a) {
    if (components && a.starts_with("-k")) return true;
    return std::ranges::any_of(flags, [&](const std::string& f) { return a == f || a.starts_with(f + "="); });
  });
}

}  // namespace

std::vector<std::string> expand_recipe(std::vector<std::string> arguments) {
  std::string name;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--recipe" && i + 1 < arguments.size()) {
      name = arguments[i + 1];
      arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i),
                      arguments.begin() + static_cast<std::ptrdiff_t>(i) + 2);
      break;
    }
    if (arguments[i].starts_with("--recipe=")) {
      name = arguments[i].substr(9);
      arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
  }
  if (name.empty()) return arguments;
  const nlohmann::json recipe = load(name);
  const nlohmann::json needs = recipe.value("needs", nlohmann::json::object());
  for (const auto& [key, sentence] : needs.items()) {
    if (!typed(arguments, key)) {
      throw Error(ErrorCode::kUsage,
                  "recipe " + name + " needs --" + key + ": " + sentence.get<std::string>());
    }
  }
  for (const auto& [key, value] : recipe["options"].items()) {
    const std::string flag = "--" + key;
    if (typed(arguments, key)) continue;
    if (value.is_boolean()) {
      if (value.get<bool>()) arguments.push_back(flag);
    } else {
      arguments.push_back(flag + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    }
  }
  return arguments;
}

std::vector<std::pair<std::string, std::string>> list_recipes() {
  std::vector<std::pair<std::string, std::string>> recipes;
  for (const auto& [name, text] : kRecipes) {
    recipes.emplace_back(name, parse(std::string(name), text).value("title", ""));
  }
  return recipes;
}

}  // namespace pomona::cli
