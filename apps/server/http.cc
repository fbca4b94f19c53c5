// SPDX-License-Identifier: Apache-2.0
#include "http.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "pomona/base/error.h"
#include "pomona/base/text.h"

namespace pomona::server {
namespace {

namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using net::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLinger{2000};  // for a refused client to read the answer
constexpr std::size_t kRefusals = 64;  // connections over the limit that are told so at one time
constexpr std::size_t kBodyBuffer = 64u << 10;
constexpr milliseconds kOnceMore{20};  // between attempts to end a step whose time is over

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, length};
}

std::string address_text(const net::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// What all connections share.
struct Shared {
  const HttpOptions& options;
  Site& site;
  std::atomic<std::size_t> body_memory{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<bool> stopping{false};
};

class SessionBase {
 public:
  virtual ~SessionBase() = default;
  virtual void wind_down() = 0;  // ends when it has nothing in flight
  virtual void abort() = 0;
};

// One connection. All members run on its strand.
template <typename Stream>
class Session final : public SessionBase, public std::enable_shared_from_this<Session<Stream>> {
 public:
  static constexpr bool kTls = !std::is_same_v<Stream, tcp::socket>;

  template <typename... More>
  Session(Shared& shared, tcp::socket socket, std::string client, std::function<void(SessionBase*)> gone,
          std::shared_ptr<net::ssl::context> tls, More&&... more)
      : shared_(shared),
        tls_(std::move(tls)),
        stream_(std::move(socket), std::forward<More>(more)...),
        timer_(stream_.get_executor()),
        client_(std::move(client)),
        gone_(std::move(gone)),
        // What the parser cannot take yet waits here: a header, or what surrounds a chunk.
        buffer_(shared.options.max_header + kBodyBuffer) {}

  ~Session() override {
    release_body();
    gone_(this);
  }

  void start() {
    net::post(stream_.get_executor(), [self = self()] { self->handshake(); });
  }

  // Answers at once, without reading a request.
  void refuse(Response response) {
    net::post(stream_.get_executor(), [self = self(), response = std::move(response)]() mutable {
      self->request_ = std::make_shared<Request>();
      self->request_->client = self->client_;
      self->drop(std::move(response));
    });
  }

  void wind_down() override {
    net::post(stream_.get_executor(), [weak = this->weak_from_this()] {
      if (const auto own = weak.lock(); own && own->idle_ && !own->has_bytes()) own->close_socket();
    });
  }

  void abort() override {
    net::post(stream_.get_executor(), [weak = this->weak_from_this()] {
      if (const auto own = weak.lock()) own->close_socket();
    });
  }

 private:
  using Parser = http::request_parser<http::string_body>;

  std::shared_ptr<Session> self() { return this->shared_from_this(); }

  tcp::socket& socket() {
    if constexpr (kTls) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  // True where a request lies in the socket, sent before its sender could know better.
  bool has_bytes() {
    error_code error;
    return socket().available(error) > 0 && !error;
  }

  void close_socket() {
    error_code ignored;
    no_deadline();
    socket().close(ignored);
  }

  // From now on the step that begins has `time`; when that is over its operation is cancelled. The deadline
  // is for the step as a whole: a client that sends a byte a second gains nothing by it.
  void deadline(milliseconds time) {
    timed_out_ = false;
    watch(++step_, time);
  }
  void watch(std::uint64_t step, milliseconds time) {
    timer_.expires_after(time);
    timer_.async_wait([weak = this->weak_from_this(), step](error_code error) {
      const auto own = weak.lock();
      if (error || !own || own->step_ != step) return;
      own->timed_out_ = true;
      error_code ignored;
      own->socket().cancel(ignored);
      // Bytes that came just now are no operation that could be cancelled, and the step goes on to the next.
      own->watch(step, kOnceMore);
    });
  }
  void no_deadline() {
    ++step_;
    timer_.cancel();
  }

  void handshake() {
    if constexpr (kTls) {
      deadline(shared_.options.header_timeout);
      stream_.async_handshake(net::ssl::stream_base::server, [self = self()](error_code error) {
        if (error) {
          self->shared_.site.event("tls_failed");
          return self->close_socket();
        }
        self->wait_for_request();
      });
    } else {
      wait_for_request();
    }
  }

  void wait_for_request() {
    if (shared_.stopping && buffer_.size() == 0 && !has_bytes()) return close_socket();
    request_.reset();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.options.max_header));
    parser_->body_limit(boost::none);
    if (buffer_.size() > 0) return read_header();
    idle_ = true;
    deadline(served_ == 0 ? shared_.options.header_timeout : shared_.options.idle_timeout);
    stream_.async_read_some(buffer_.prepare(4096), [self = self()](error_code error, std::size_t size) {
      self->idle_ = false;
      if (error) return self->close_socket();
      self->buffer_.commit(size);
      self->read_header();
    });
  }

  void read_header() {
    begin_ = steady_clock::now();
    deadline(shared_.options.header_timeout);
    http::async_read_header(stream_, buffer_, *parser_, [self = self()](error_code error, std::size_t) {
      if (error) return self->header_failed(error);
      self->take_header();
    });
  }

  void header_failed(error_code error) {
    request_ = std::make_shared<Request>();
    request_->client = client_;
    request_->id = ++shared_.requests;
    if (timed_out_) {
      shared_.site.event("timeout_header");
      return drop(error_response(408, "timeout", "the request's header did not arrive in time"));
    }
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error.category() != http::make_error_code(http::error::bad_method).category()) {
      return close_socket();
    }
    shared_.site.event("malformed");
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return drop(error_response(
          431, "header_too_large",
          fmt::format("the request's header is longer than {} bytes", shared_.options.max_header)));
    }
    if (error == http::error::bad_version) {
      return drop(error_response(505, "http_version", "this server speaks HTTP/1.1"));
    }
    drop(error_response(400, "bad_request", "the request is not HTTP: " + error.message()));
  }

  void take_header() {
    const auto& message = parser_->get();
    request_ = std::make_shared<Request>();
    Request& request = *request_;
    request.id = ++shared_.requests;
    request.client = client_;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    std::size_t hosts = 0;
    for (const auto& field : message) {
      std::string name = lower_case(field.name_string());
      if (name == "host") ++hosts;
      request.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    keep_alive_ = parser_->keep_alive();
    http_1_0_ = message.version() < 11;
    const auto refuse_it = [&](int status, std::string_view code, const std::string& text) {
      shared_.site.event("malformed");
      drop(error_response(status, code, text));
    };
    if (message.version() / 10 != 1) return refuse_it(505, "http_version", "this server speaks HTTP/1.1");
    if (hosts > 1 || (hosts == 0 && !http_1_0_)) {
      return refuse_it(400, "bad_request", "the request must name one Host");
    }
    if (request.header("transfer-encoding") && request.header("content-length")) {
      return refuse_it(400, "bad_request", "the request states its length in two ways");
    }
    if (const auto encoding = request.header("transfer-encoding")) {
      if (http_1_0_) return refuse_it(400, "bad_request", "HTTP/1.0 has no transfer encodings");
      if (!same_word(*encoding, "chunked")) {
        return refuse_it(501, "transfer_encoding", "the only transfer encoding known here is chunked");
      }
    }
    if (!parse_target(request)) return refuse_it(400, "bad_request", "the request's target is malformed");

    std::size_t limit = 0;
    try {
      if (auto refused = shared_.site.admit(request, limit)) return answer_early(std::move(*refused));
    } catch (const std::exception& error) {
      return answer_early(error_response(500, "internal", error.what()));
    }
    const auto length = parser_->content_length();
    if (length && *length > limit) {
      shared_.site.event("body_too_large");
      return drop(error_response(413, "body_too_large",
                                 fmt::format("a body of {} bytes: this takes at most {}", *length, limit)));
    }
    limit_ = limit;
    parser_->body_limit(limit);
    if (const auto expect = request.header("expect")) {
      if (!same_word(*expect, "100-continue")) {
        return refuse_it(417, "expectation", "the only expectation known here is 100-continue");
      }
      if (!parser_->is_done() && buffer_.size() == 0 && !http_1_0_) return send_continue();
    }
    read_body();
  }

  // A refusal before the body: where there is none to come, the connection can go on.
  void answer_early(Response response) {
    const bool no_body = !parser_->chunked() && parser_->content_length().value_or(0) == 0;
    no_body ? respond(std::move(response)) : drop(std::move(response));
  }

  void send_continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    deadline(shared_.options.write_timeout);
    net::async_write(stream_, net::buffer(kContinue.data(), kContinue.size()),
                     [self = self()](error_code error, std::size_t) {
                       if (error) return self->close_socket();
                       self->read_body();
                     });
  }

  void read_body() {
    if (parser_->is_done()) return dispatch();
    if (parser_->content_length().value_or(kBodyBuffer) > kBodyBuffer / 4) buffer_.reserve(kBodyBuffer);
    deadline(shared_.options.body_timeout);
    read_more();
  }

  void read_more() {
    http::async_read_some(stream_, buffer_, *parser_,
                          [self = self()](error_code error, std::size_t) { self->take_body(error); });
  }

  void take_body(error_code error) {
    if (error == http::error::need_more) error = {};
    if (timed_out_ && (error || !parser_->is_done())) {
      shared_.site.event("timeout_body");
      return drop(error_response(408, "timeout", "the request's body did not arrive in time"));
    }
    if (error) {
      if (error == http::error::body_limit) {
        shared_.site.event("body_too_large");
        return drop(error_response(413, "body_too_large",
                                   fmt::format("the body is larger than the {} bytes this takes", limit_)));
      }
      if (error == http::error::partial_message || error == http::error::end_of_stream ||
          error.category() != http::make_error_code(http::error::bad_method).category()) {
        return close_socket();
      }
      shared_.site.event("malformed");
      const bool too_long = error == http::error::buffer_overflow;
      return drop(
          error_response(400, "bad_request",
                         "the request's body is malformed: " +
                             (too_long ? "a chunk's header or its trailer is too long" : error.message())));
    }
    const std::size_t size = parser_->get().body().size();
    shared_.body_memory += size - held_;
    held_ = size;
    if (shared_.body_memory > shared_.options.max_body_memory) {
      shared_.site.event("body_memory");
      return drop(busy_response(503, "busy", "too many large requests at once: try again in a moment", 2));
    }
    parser_->is_done() ? dispatch() : read_more();
  }

  // Sends an answer even where whoever holds it lets go of it.
  class Pending {
   public:
    explicit Pending(std::shared_ptr<Session> session) : session_(std::move(session)) {}
    Pending(Pending&&) noexcept = default;
    Pending& operator=(Pending&&) = delete;
    ~Pending() {
      if (session_)
        (*this)(error_response(500, "internal", "the request was given up: see the server's log"));
    }
    void operator()(Response response) {
      auto session = std::move(session_);
      if (!session) return;
      net::post(session->stream_.get_executor(), [session, response = std::move(response)]() mutable {
        session->respond(std::move(response));
      });
    }

   private:
    std::shared_ptr<Session> session_;
  };

  void dispatch() {
    no_deadline();
    request_->body = std::move(parser_->get().body());
    try {
      shared_.site.serve(request_, Reply(Pending(self())));
    } catch (const std::exception&) {
      // The answer was sent when `reply` went away.
    }
  }

  // Answers and closes, though not all that the client sent was read.
  void drop(Response response) {
    linger_ = true;
    response.close = true;
    respond(std::move(response));
  }

  void respond(Response response) {
    release_body();
    response_ = std::move(response);
    shared_.site.decorate(request_.get(), response_);
    const bool keep = keep_alive_ && !response_.close && !shared_.stopping;
    const std::string_view body = response_.bytes();
    header_ = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response_.status, reason_phrase(response_.status),
                          http_date());
    const bool bodiless = response_.status == 204 || response_.status == 304;
    if (!bodiless) {
      header_ +=
          fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", response_.content_type, body.size());
    }
    for (const auto& [name, value] : response_.headers) header_ += fmt::format("{}: {}\r\n", name, value);
    if (!keep) {
      header_ += "Connection: close\r\n";
    } else if (http_1_0_) {
      header_ += "Connection: keep-alive\r\n";
    }
    header_ += "\r\n";
    const bool send_body = !bodiless && request_->method != "HEAD";
    const std::array<net::const_buffer, 2> buffers = {
        net::buffer(header_), net::const_buffer(body.data(), send_body ? body.size() : 0)};
    deadline(shared_.options.write_timeout);
    net::async_write(stream_, buffers, [self = self(), keep](error_code error, std::size_t size) {
      self->sent(error, size, keep);
    });
  }

  void sent(error_code error, std::size_t size, bool keep) {
    ++served_;
    const std::chrono::duration<double> seconds = steady_clock::now() - begin_;
    shared_.site.finished(*request_, response_.status, size, seconds.count());
    response_ = {};
    if (error) {
      if (timed_out_) shared_.site.event("timeout_write");
      return close_socket();
    }
    if (keep) return wait_for_request();
    finish();
  }

  void finish() {
    deadline(kLinger);
    if constexpr (kTls) {
      // TLS says goodbye both ways at once: what the client still sends would break that.
      if (linger_) return discard();
      stream_.async_shutdown([self = self()](error_code) { self->close_socket(); });
    } else {
      error_code ignored;
      socket().shutdown(tcp::socket::shutdown_send, ignored);
      if (!linger_ || ignored) return close_socket();
      discard();
    }
  }

  // Closing at once would reset the connection, and the client might never see the answer.
  void discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kBodyBuffer), [self = self()](error_code error, std::size_t) {
      if (error || self->timed_out_) return self->close_socket();
      self->discard();
    });
  }

  void release_body() {
    shared_.body_memory -= held_;
    held_ = 0;
  }

  Shared& shared_;
  std::shared_ptr<net::ssl::context> tls_;
  Stream stream_;
  net::steady_timer timer_;
  std::string client_;
  std::function<void(SessionBase*)> gone_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::shared_ptr<Request> request_;
  Response response_;
  std::string header_;
  steady_clock::time_point begin_ = steady_clock::now();
  std::uint64_t step_ = 0;
  std::uint64_t served_ = 0;
  std::size_t held_ = 0;  // bytes of body counted in shared_.body_memory
  std::size_t limit_ = 0;
  bool timed_out_ = false;
  bool idle_ = false;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool linger_ = false;
};

std::shared_ptr<net::ssl::context> make_tls(const HttpOptions& options) {
  if (options.tls_certificate.empty()) return nullptr;
  auto tls = std::make_shared<net::ssl::context>(net::ssl::context::tls_server);
  std::string file = options.tls_certificate;
  try {
    SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
    tls->set_options(net::ssl::context::no_compression | net::ssl::context::single_dh_use);
    SSL_CTX_set_options(tls->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    tls->use_certificate_chain_file(file);
    file = options.tls_key;
    tls->use_private_key_file(file, net::ssl::context::pem);
  } catch (const boost::system::system_error& error) {
    throw Error(ErrorCode::kFormat,
                fmt::format("{}: cannot be used for TLS ({}): give a PEM certificate chain "
                            "with --tls-cert and its PEM key with --tls-key",
                            file, error.code().message()));
  }
  if (SSL_CTX_check_private_key(tls->native_handle()) != 1) {
    throw Error(ErrorCode::kFormat, fmt::format("{} is not the key of the certificate {}", options.tls_key,
                                                options.tls_certificate));
  }
  return tls;
}

}  // namespace

struct HttpServer::Impl {
  HttpOptions options;
  Shared shared;

  std::mutex mutex;  // guards what follows, up to `closed`
  std::condition_variable all_gone;
  std::shared_ptr<net::ssl::context> tls;
  std::unordered_map<SessionBase*, std::weak_ptr<SessionBase>> sessions;
  std::map<std::string, int> clients;
  std::size_t refusals = 0;
  bool closed = false;  // nobody is let in any more

  // Connections live in the handlers of `io`, so what they use must outlive it.
  net::io_context io;
  // Requests that only wait for their answer are no work that `io` knows of.
  net::executor_work_guard<net::io_context::executor_type> guard;
  // Of what accepts connections and waits for signals: stop() must not meet either half way.
  net::strand<net::io_context::executor_type> door;
  tcp::acceptor acceptor;
  net::steady_timer retry;
  net::signal_set hangups;
  bool accepting = false;  // the door's: accept() waits for somebody
  bool closing = false;    // the door's: stop() has been there
  std::function<void()> on_hangup;
  std::vector<std::jthread> threads;

  Impl(const HttpOptions& given, Site& site)
      : options(given),
        shared{options, site},
        io(options.threads),
        guard(io.get_executor()),
        door(net::make_strand(io)),
        acceptor(door),
        retry(door),
        hangups(door) {}

  void accept() {
    accepting = true;
    acceptor.async_accept(net::make_strand(io), [this](error_code error, tcp::socket socket) {
      accepting = false;
      if (!error) take(std::move(socket));
      if (closing) close();
      if (shared.stopping || error == net::error::operation_aborted) return;
      if (error) {
        // Out of file descriptors, mostly: others will be closed soon.
        shared.site.event("accept_failed");
        retry.expires_after(milliseconds(50));
        retry.async_wait([this](error_code stopped) {
          if (!stopped) accept();
        });
        return;
      }
      accept();
    });
  }

  void take(tcp::socket socket) {
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    socket.set_option(tcp::no_delay(true), error);
    const std::string client = address_text(peer.address());
    std::shared_ptr<net::ssl::context> own_tls;
    bool all_full = false;
    bool client_full = false;
    {
      const std::lock_guard lock(mutex);
      own_tls = tls;
      const auto known = clients.find(client);
      all_full = sessions.size() - refusals >= static_cast<std::size_t>(options.max_connections);
      client_full = known != clients.end() && known->second >= options.max_connections_per_client &&
                    !options.proxies.contains(client);
      if (all_full || client_full) {
        if (own_tls || refusals >= kRefusals) {
          all_full ? shared.site.event("refused_total") : shared.site.event("refused_client");
          return;
        }
        ++refusals;
      } else {
        ++clients[client];
      }
    }
    const bool refused = all_full || client_full;
    shared.site.event(all_full ? "refused_total" : client_full ? "refused_client" : "connection");
    const auto gone = [this, client, refused](SessionBase* session) {
      const std::lock_guard lock(mutex);
      sessions.erase(session);
      if (refused) {
        --refusals;
      } else if (const auto known = clients.find(client); known != clients.end() && --known->second == 0) {
        clients.erase(known);
      }
      all_gone.notify_all();
    };
    if (own_tls) {
      add(std::make_shared<Session<net::ssl::stream<tcp::socket>>>(shared, std::move(socket), client, gone,
                                                                   own_tls, *own_tls))
          ->start();
      return;
    }
    const auto session =
        add(std::make_shared<Session<tcp::socket>>(shared, std::move(socket), client, gone, nullptr));
    if (!refused) return session->start();
    session->refuse(busy_response(
        503, all_full ? "too_many_connections" : "too_many_connections_of_client",
        all_full ? "all connections are in use: try again in a moment"
                 : "this client has too many connections open: close some or try again in a moment",
        2));
  }

  template <typename S>
  std::shared_ptr<S> add(std::shared_ptr<S> session) {
    const std::lock_guard lock(mutex);
    sessions.emplace(session.get(), session);
    return session;
  }

  void each_session(void (SessionBase::*what)()) {
    std::vector<std::shared_ptr<SessionBase>> alive;
    {
      const std::lock_guard lock(mutex);
      for (const auto& [pointer, weak] : sessions) {
        if (auto session = weak.lock()) alive.push_back(std::move(session));
      }
    }
    for (const auto& session : alive) (session.get()->*what)();
  }

  void close() {
    const std::lock_guard lock(mutex);
    closed = true;
    all_gone.notify_all();
  }

  // Whoever connected before stop() may not have been let in yet.
  bool wait_until_gone(milliseconds time) {
    std::unique_lock lock(mutex);
    return all_gone.wait_for(lock, time, [this] { return closed && sessions.empty(); });
  }

  void wait_for_hangup() {
    hangups.async_wait([this](error_code error, int) {
      if (error) return;
      if (on_hangup) on_hangup();
      wait_for_hangup();
    });
  }
};

HttpServer::HttpServer(const HttpOptions& options, Site& site)
    : impl_(std::make_unique<Impl>(options, site)) {
  impl_->tls = make_tls(impl_->options);
  error_code error;
  const auto address = net::ip::make_address(options.address, error);
  if (error) {
    throw Error(ErrorCode::kUsage,
                "`" + options.address + "` is no IP address: give one of this machine, or 0.0.0.0 for all");
  }
  const tcp::endpoint place(address, options.port);
  impl_->acceptor.open(place.protocol(), error);
  if (!error) impl_->acceptor.set_option(net::socket_base::reuse_address(true), error);
  if (!error) impl_->acceptor.bind(place, error);
  if (!error) impl_->acceptor.listen(net::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(error == net::error::access_denied ? ErrorCode::kPermission : ErrorCode::kIo,
                fmt::format("cannot listen on {} port {}: {}. Give another --port, or stop what uses it.",
                            options.address, options.port, error.message()));
  }
}

HttpServer::~HttpServer() {
  stop(milliseconds(0));
}

std::uint16_t HttpServer::port() const {
  error_code error;
  return impl_->acceptor.local_endpoint(error).port();
}

int HttpServer::connections() const {
  const std::lock_guard lock(impl_->mutex);
  return static_cast<int>(impl_->sessions.size());
}

void HttpServer::start() {
  impl_->accept();
  for (int i = 0; i < impl_->options.threads; ++i) {
    impl_->threads.emplace_back([this] { impl_->io.run(); });
  }
}

void HttpServer::reload_tls() {
  auto fresh = make_tls(impl_->options);
  const std::lock_guard lock(impl_->mutex);
  impl_->tls = std::move(fresh);
}

bool HttpServer::stop(milliseconds patience) {
  if (impl_->threads.empty()) return true;
  impl_->shared.stopping = true;
  net::post(impl_->door, [this] {
    error_code ignored;
    // Whoever connected before now is served: closing would reset those whom accept() has not seen yet.
    impl_->acceptor.cancel(ignored);
    impl_->acceptor.non_blocking(true, ignored);
    for (error_code error;;) {
      tcp::socket socket(net::make_strand(impl_->io));
      impl_->acceptor.accept(socket, error);
      if (error) break;
      impl_->take(std::move(socket));
    }
    impl_->acceptor.close(ignored);
    impl_->retry.cancel();
    impl_->hangups.cancel(ignored);
    impl_->closing = true;
    if (!impl_->accepting) impl_->close();
  });
  impl_->each_session(&SessionBase::wind_down);
  const bool clean = impl_->wait_until_gone(patience);
  if (!clean) {
    impl_->each_session(&SessionBase::abort);
    impl_->wait_until_gone(milliseconds(500));
  }
  impl_->io.stop();
  impl_->threads.clear();
  return clean;
}

void HttpServer::on_hangup(std::function<void()> action) {
  impl_->on_hangup = std::move(action);
  error_code ignored;
  impl_->hangups.add(SIGHUP, ignored);
  impl_->wait_for_hangup();
}

}  // namespace pomona::server
