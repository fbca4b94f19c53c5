// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <string>
#include <vector>

namespace pomona::cli {

// Runs `python -m MODULE WORDS...` to its end, with our terminal; a stop is passed on as SIGTERM. Returns its
// exit code, or 128 + signal. Python is POMONA_PYTHON; else the one beside the command (an environment it was
// installed into); else python3. A command in a build folder brings the folder's package along. Throws
// Error{kUnavailable}.
int run_python(const std::string& module, const std::vector<std::string>& words, const std::stop_token& stop);

}  // namespace pomona::cli
