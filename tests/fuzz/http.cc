// SPDX-License-Identifier: Apache-2.0
// The HTTP server itself, over the loopback interface: request line, headers, bodies of stated length and in
// chunks, several requests on one connection. Input: the bytes of a connection.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "fuzz.h"
#include "pomona/base/descriptor.h"
#include "server/http.h"

using namespace pomona;
using namespace pomona::server;

namespace {

constexpr std::size_t kMostBody = 4096;
constexpr int kPatience = 10'000;  // ms for an answer: a server that says nothing and stays is a finding

class Echo final : public Site {
 public:
  std::optional<Response> admit(Request& head, std::size_t& body_limit) override {
    fuzz::require(head.path.starts_with('/') || head.path == "*", "a path that does not begin at the root");
    if (head.path == "/refused") return error_response(403, "refused", "refused");
    body_limit = kMostBody;
    return std::nullopt;
  }
  void serve(std::shared_ptr<Request> request, Reply reply) override {
    fuzz::require(request->body.size() <= kMostBody, "a body over its limit");
    Response response;
    response.content_type = "text/plain";
    response.body = request->body;
    reply(std::move(response));
  }
  void decorate(const Request* /*request*/, Response& /*response*/) override {}
  void finished(const Request& /*request*/, int status, std::size_t /*bytes*/, double /*seconds*/) override {
    fuzz::require(status >= 200 && status < 600, "an answer of no status");
  }
  void event(std::string_view /*name*/) override {}
};

struct Running {
  Echo site;
  HttpServer server;

  Running() : server(options(), site) { server.start(); }

  static HttpOptions options() {
    HttpOptions options;
    options.port = 0;
    options.max_body_memory = 1 << 20;
    return options;
  }
};

void write_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // refused on the way
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Answers must fit the socket's buffer: nobody reads while the request is still being sent.
  if (size > 32 << 10) return 0;
  static Running running;
  const fuzz::Input input(data, size);
  const Descriptor connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // From another address each time: one alone runs out of ports, which stay taken for a minute.
  static std::uint32_t turn = 0;
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (++turn % 60'000));
  fuzz::require(::bind(connection.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0,
                "no address to ask from");
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(running.server.port());
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected = ::connect(connection.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place);
  if (connected != 0 && errno == EINTR) return 0;  // by the fuzzer's own clock
  fuzz::require(connected == 0, "the server no longer takes connections");
  write_all(connection.get(), input.text());
  ::shutdown(connection.get(), SHUT_WR);
  std::string answer;
  for (char piece[4096];;) {
    pollfd waiting = {connection.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, kPatience);
    if (ready < 0 && errno == EINTR) continue;
    fuzz::require(ready == 1, "the server neither answers nor closes");
    const ssize_t got = ::read(connection.get(), piece, sizeof piece);
    if (got <= 0) break;
    answer.append(piece, static_cast<std::size_t>(got));
  }
  fuzz::require(answer.empty() || answer.starts_with("HTTP/1.1 "), "an answer that is not HTTP");
  return 0;
}
