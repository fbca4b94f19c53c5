// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "message.h"
#include "proxies.h"

namespace pomona::server {

struct HttpOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;                 // 0 = one that is free
  std::string tls_certificate;               // PEM chain; empty = plain HTTP
  std::string tls_key;                       // PEM
  int threads = 1;                           // that move bytes; photos are worked on elsewhere
  std::size_t max_header = 16u << 10;        // bytes, request line included
  std::size_t max_body_memory = 512u << 20;  // bytes of all bodies held at once
  int max_connections = 512;
  int max_connections_per_client = 64;               // trusted proxies excepted: they are many clients
  TrustedProxies proxies;                            // whose X-Forwarded-For says who asks
  std::chrono::milliseconds header_timeout{10'000};  // from the first byte (or TLS) to the blank line
  std::chrono::milliseconds body_timeout{60'000};    // for the whole body
  std::chrono::milliseconds idle_timeout{60'000};    // between requests
  std::chrono::milliseconds write_timeout{60'000};   // for the whole answer
};

// What stands behind the listener. All members are called on the listener's threads and must not block.
class Site {
 public:
  virtual ~Site() = default;

  // Looks at a request whose body has not been read. Sets `body_limit` (bytes) and returns nothing to go on;
  // returns an answer to refuse it.
  virtual std::optional<Response> admit(Request& head, std::size_t& body_limit) = 0;
  // Answers; `reply` may be called later, from any thread.
  virtual void serve(std::shared_ptr<Request> request, Reply reply) = 0;
  // Headers that every answer carries, requests that never parsed included.
  virtual void decorate(const Request* request, Response& response) = 0;
  // Once per answer, after it was sent or failed to be sent.
  virtual void finished(const Request& request, int status, std::size_t bytes, double seconds) = 0;
  // Counts an event by name: "connection", "refused_total", "refused_client", "timeout_header", ...
  virtual void event(std::string_view name) = 0;
};

// An HTTP/1.1 server: listener, connections, timeouts, TLS. Starts no request for a client that is over its
// limits; what is malformed is refused with a status and the connection is closed.
class HttpServer {
 public:
  // Binds; throws Error{kUsage | kIo | kPermission} where that fails, kFormat for a bad certificate or key.
  HttpServer(const HttpOptions& options, Site& site);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  int connections() const;

  // Starts the threads.
  void start();
  // Reads certificate and key again; connections that are open keep the old ones. Throws Error{kFormat}; then
  // the old ones stay.
  void reload_tls();
  // Stops accepting, closes idle connections, waits until what is in flight is answered or `patience` is
  // over, and ends the threads. False where something had to be cut off.
  bool stop(std::chrono::milliseconds patience);

  // Calls `on_hangup` on one of the listener's threads for every SIGHUP.
  void on_hangup(std::function<void()> action);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pomona::server
