// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace pomona::cli {

// Replaces `--recipe NAME|FILE` by the options the recipe sets; options that were typed win.
// Throws Error{kNotFound | kFormat} that lists the recipes that come along.
std::vector<std::string> expand_recipe(std::vector<std::string> arguments);

// Names and titles of the recipes that come along.
std::vector<std::pair<std::string, std::string>> list_recipes();

}  // namespace pomona::cli
