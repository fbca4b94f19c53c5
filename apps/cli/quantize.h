// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command.h"

namespace pomona::cli {

// Adds `quantize` below the verb `models`.
void add_quantize(CLI::App& models, Action& action);

}  // namespace pomona::cli
