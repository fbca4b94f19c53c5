// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "auth.h"
#include "engine.h"
#include "http.h"
#include "models.h"
#include "routes/app.h"

namespace pomona::server {

struct ServerOptions {
  ModelsOptions models;
  HttpOptions http;
  EngineOptions engine;
  RouteLimits limits;
  std::optional<std::string> tokens;         // file of API tokens; none = everybody may do everything
  Scopes open_scopes = kNobody;              // that need no token though there are tokens
  std::string cors;                          // origin that may call from a browser; empty = none
  double rate = 0;                           // requests a second of one client on average; 0 = no limit
  double burst = 0;                          // requests of one client at once; 0 = four seconds' worth
  std::string access_log;                    // file; "-" = standard error; empty = none
  bool log_addresses = true;                 // whole client addresses in it
  std::optional<std::string> similar;        // dataset
  std::optional<std::string> contributions;  // folder
  std::chrono::hours retention{14 * 24};
  std::chrono::milliseconds purge_every{3'600'000};
  std::optional<std::string> catalogue;  // file; none = the starter
  bool page = true;
  std::chrono::milliseconds patience{10'000};  // for what is in flight when it ends
};

// Where the server speaks to whoever runs it. Called from any thread, one call at a time.
struct ServerHooks {
  std::function<void(std::uint16_t port)> listening;
  std::function<void(const std::string&)> note;
  std::function<void(const std::string&)> warning;
};

// Serves until `stop` is requested. SIGHUP has it read models, tokens and certificate again; what cannot be
// read is warned about and stays as it was. Throws Error: what the models, files and address throw at start.
// Returns false where requests had to be cut off at the end.
bool serve(const ServerOptions& options, const ServerHooks& hooks, std::stop_token stop);

}  // namespace pomona::server
