// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/download.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/public_address.h"
#include "pomona/base/text.h"

namespace pomona {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr auto kProgressInterval = std::chrono::milliseconds(100);
constexpr auto kRateWindow = std::chrono::seconds(3);
constexpr auto kFirstBackoff = std::chrono::milliseconds(500);
constexpr auto kLongestWait = std::chrono::seconds(30);
constexpr int kMostRedirects = 8;
constexpr std::size_t kMostHeaderBytes = 256 << 10;  // of one answer
constexpr std::size_t kMostErrorPageBytes = 1
                                            << 20;  // read to its end, so that the connection is of use again

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

// libcurl's own set-up, once in a process.
void init_curl() {
  static const CURLcode status = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (status != CURLE_OK) {
    throw Error(ErrorCode::kUnavailable,
                std::string("libcurl does not start: ") + curl_easy_strerror(status));
  }
}

struct Endpoint {
  std::string ip;
  int port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

Endpoint endpoint_of(const sockaddr& address) {
  Endpoint endpoint;
  char text[INET6_ADDRSTRLEN] = {};
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    endpoint.port = ntohs(v4.sin_port);
  } else if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    endpoint.port = ntohs(v6.sin6_port);
  }
  endpoint.ip = text;
  return endpoint;
}

// A part of a URL, as libcurl reads it (which spells 0x7f.1 and 2130706433 as 127.0.0.1); empty where there
// is none.
std::string url_part(const std::string& text, CURLUPart part, unsigned flags = CURLU_NON_SUPPORT_SCHEME) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
  char* value = nullptr;
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), flags) != CURLUE_OK ||
      curl_url_get(url.get(), part, &value, 0) != CURLUE_OK) {
    return {};
  }
  std::string found = value;
  curl_free(value);
  if (part == CURLUPART_HOST && found.size() > 2 && found.front() == '[') {
    found = found.substr(1, found.size() - 2);
  }
  return found;
}

bool is_address(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  return inet_pton(AF_INET, host.c_str(), &v4) == 1 ||
         inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &v6) == 1;
}

// Names that stand for this machine or its network (RFC 6761, RFC 6762, ICANN's .internal).
bool is_local_name(std::string host) {
  if (host.ends_with('.')) host.pop_back();
  for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local") ||
         host.ends_with(".internal");
}

// Places of the proxies that the environment names: connections to these are the user's wish, though most
// proxies stand on a private address.
std::set<Endpoint> proxy_places() {
  std::set<Endpoint> found;
  for (const std::string& proxy : {environment({"https_proxy", "HTTPS_PROXY"}), environment({"http_proxy"}),
                                   environment({"all_proxy", "ALL_PROXY"})}) {
    if (proxy.empty()) continue;
    constexpr unsigned kGuess = CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME;
    const std::string name = url_part(proxy, CURLUPART_HOST, kGuess);
    std::string port = url_part(proxy, CURLUPART_PORT, kGuess);
    if (port.empty()) port = proxy.starts_with("https:") ? "443" : "1080";  // libcurl's own defaults
    if (name.empty()) continue;
    addrinfo* list = nullptr;
    if (getaddrinfo(name.c_str(), port.c_str(), nullptr, &list) != 0) continue;
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
      found.insert(endpoint_of(*entry->ai_addr));
    }
    freeaddrinfo(list);
  }
  return found;
}

// The half-finished file, locked against a second process that downloads the same.
class PartFile {
 public:
  explicit PartFile(fs::path path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd_ < 0) {
      const int error = errno;
      throw Error(error == EACCES || error == EROFS ? ErrorCode::kPermission : ErrorCode::kIo,
                  "cannot write " + path_.string() + ": " + std::generic_category().message(error));
    }
    struct stat info{};
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 || ::fstat(fd_, &info) != 0) {
      ::close(fd_);
      throw Error(ErrorCode::kUnavailable,
                  "another process is downloading " + path_.string() + ": wait for it, then try again");
    }
    size_ = static_cast<std::uint64_t>(info.st_size);
  }
  ~PartFile() { ::close(fd_); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const fs::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  void clear() {
    if (::ftruncate(fd_, 0) != 0) fail();
    size_ = 0;
  }

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail();
      size_ += static_cast<std::uint64_t>(written);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  // Takes its final name: readers see the whole file or none.
  void publish(const fs::path& file) {
    if (::fsync(fd_) != 0 || ::rename(path_.c_str(), file.c_str()) != 0) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(ErrorCode::kIo, "cannot write " + path_.string() + ": " +
                                    std::generic_category().message(errno) +
                                    ". What has arrived is kept; the next try goes on from there");
  }

  fs::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

// Bytes so far, and how fast, at most ten times a second.
class Meter {
 public:
  explicit Meter(const Hooks& hooks) : hooks_(hooks) {}

  void report(std::uint64_t done, std::optional<std::uint64_t> total, bool always) {
    if (!hooks_.progress) return;
    const auto now = Clock::now();
    if (!always && now - last_ < kProgressInterval) return;
    last_ = now;
    window_.emplace_back(now, done);
    while (window_.size() > 2 && now - window_.front().first > kRateWindow) window_.pop_front();
    const double span = seconds(now - window_.front().first);
    Progress progress;
    progress.unit = "bytes";
    progress.done = done;
    progress.total = total;
    progress.seconds = seconds(now - start_);
    if (span > 0 && done > window_.front().second) {
      progress.rate = static_cast<double>(done - window_.front().second) / span;
    }
    hooks_.progress(progress);
  }

 private:
  const Hooks& hooks_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_{};
  std::deque<std::pair<Clock::time_point, std::uint64_t>> window_;
};

// One request and what came of it. Exceptions must not cross libcurl: they wait in `failure`.
struct Attempt {
  PartFile& part;
  Meter& meter;
  const DownloadOptions& options;
  const std::set<Endpoint>& proxies;
  CURL* curl = nullptr;
  std::uint64_t asked_from = 0;                // where the Range request begins
  std::optional<std::uint64_t> range_start{};  // from Content-Range
  std::optional<std::uint64_t> range_size{};   // of the whole file, from Content-Range
  bool begun = false;
  bool too_long = false;
  std::size_t header_bytes = 0;
  std::size_t error_page_bytes = 0;
  std::string refused_address{};
  std::exception_ptr failure{};

  long status() const {
    long code = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  std::optional<std::uint64_t> total() const {
    if (options.bytes > 0) return options.bytes;
    if (range_size) return range_size;
    curl_off_t length = -1;
    curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length < 0) return std::nullopt;
    return static_cast<std::uint64_t>(length);
  }

  // False where the body is not the file: an error page, or another part than the one asked for.
  bool accept(std::string_view bytes) {
    const long code = status();
    if (code != 200 && code != 206 && code != 0) {  // an error page: not kept
      error_page_bytes += bytes.size();
      return error_page_bytes <= kMostErrorPageBytes;
    }
    if (!begun) {
      begun = true;
      if (code == 206 && range_start != asked_from) return false;
      if (code != 206) part.clear();  // no ranges here: from the start
    }
    if (part.size() + bytes.size() > (options.bytes > 0 ? options.bytes : options.max_bytes)) {
      too_long = true;
      return false;
    }
    part.append(bytes);
    meter.report(part.size(), total(), false);
    return true;
  }

  // "Content-Range: bytes 100-199/200" or "bytes */200".
  void read_header(std::string_view line) {
    constexpr std::string_view name = "content-range:";
    if (line.starts_with("HTTP/")) {  // the next answer of a chain of redirects
      range_start.reset();
      range_size.reset();
      return;
    }
    if (line.size() < name.size() || !std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
          return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b);
        })) {
      return;
    }
    const std::string value(line.substr(name.size()));
    unsigned long long first = 0;
    unsigned long long last = 0;
    unsigned long long size = 0;
    if (std::sscanf(value.c_str(), " bytes %llu-%llu/%llu", &first, &last, &size) >= 2) {
      range_start = first;
      if (size > 0) range_size = size;
    } else if (std::sscanf(value.c_str(), " bytes */%llu", &size) == 1) {
      range_size = size;
    }
  }
};

std::size_t on_body(char* data, std::size_t, std::size_t count, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  try {
    return attempt.accept({data, count}) ? count : 0;
  } catch (...) {
    attempt.failure = std::current_exception();
    return 0;
  }
}

std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  attempt.header_bytes += count;
  if (attempt.header_bytes > kMostHeaderBytes) return 0;
  attempt.read_header({data, count});
  return count;
}

curl_socket_t on_open(void* user, curlsocktype, curl_sockaddr* address) {
  auto& attempt = *static_cast<Attempt*>(user);
  // libcurl connects to this very address: what a name resolves to a moment later does not matter.
  const Endpoint place = endpoint_of(address->addr);
  const bool allowed = is_public_address(place.ip) || attempt.proxies.contains(place) ||
                       (attempt.options.allow_file_url && is_loopback_address(place.ip));
  if (!allowed) {
    attempt.refused_address = place.ip;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

bool may_pass(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

bool may_pass(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

class Transfer {
 public:
  Transfer(const std::string& url, const fs::path& file, const DownloadOptions& options, const Hooks& hooks)
      : url_(url),
        file_(file),
        options_(options),
        hooks_(hooks),
        meter_(hooks),
        part_(file.string() + ".part"),
        proxies_(proxy_places()),
        curl_(curl_easy_init(), &curl_easy_cleanup) {
    if (!curl_) throw Error(ErrorCode::kUnavailable, "libcurl does not start");
  }

  void run() {
    if (is_file_url()) part_.clear();
    const bool left_over = part_.size() > 0;
    if (left_over && hooks_.note)
      hooks_.note("going on with " + part_.path().string() + ", " + human_bytes(part_.size()) + " are there");
    fetch();
    if (const std::string wrong = difference(); !wrong.empty()) {
      // What an earlier run left may be of another version of the file: once more, from the start.
      if (!left_over) refuse(wrong);
      part_.clear();
      fetch();
      if (const std::string again = difference(); !again.empty()) refuse(again);
    }
    meter_.report(part_.size(), part_.size(), true);
    part_.publish(file_);
  }

 private:
  bool is_file_url() const { return url_.starts_with("file:"); }

  // Requests until the part is complete. What counts against `attempts` are tries that bring nothing new.
  void fetch() {
    std::uint64_t furthest = part_.size();
    int fruitless = 0;
    while (true) {
      if (options_.bytes > 0 && part_.size() == options_.bytes) return;
      if (options_.bytes > 0 && part_.size() > options_.bytes) part_.clear();
      std::chrono::milliseconds wait{0};
      std::string why;
      if (request(why, wait)) return;
      fruitless = part_.size() > furthest ? 1 : fruitless + 1;
      furthest = std::max(furthest, part_.size());
      if (fruitless >= std::max(options_.attempts, 1)) throw Error(ErrorCode::kUnavailable, unavailable(why));
      wait = std::max(wait, kFirstBackoff * (1 << std::min(fruitless - 1, 6)));
      wait = std::min<std::chrono::milliseconds>(wait, kLongestWait);
      if (hooks_.note) hooks_.note(why + "; trying again in " + human_seconds(seconds(wait)));
      std::this_thread::sleep_for(wait);
    }
  }

  // True where the whole file is there; false with `why` where another try may help; throws where none will.
  bool request(std::string& why, std::chrono::milliseconds& wait) {
    std::string from = url_;
    for (int redirects = 0;; ++redirects) {
      Attempt attempt{part_, meter_, options_, proxies_};
      attempt.curl = curl_.get();
      attempt.asked_from = part_.size();
      set_options(attempt, from);
      const CURLcode result = curl_easy_perform(curl_.get());
      if (attempt.failure) std::rethrow_exception(attempt.failure);
      const char* next = nullptr;
      curl_easy_getinfo(curl_.get(), CURLINFO_REDIRECT_URL, &next);
      if (result != CURLE_OK || next == nullptr) return judge(attempt, result, why, wait);
      const std::string target = next;
      check_redirect(target, redirects);
      from = target;
    }
  }

  // Throws where a redirect leads to where nothing is fetched from. Behind a proxy this is the only look at
  // the target, since the proxy resolves names; else the address is looked at when the connection is made,
  // too.
  void check_redirect(const std::string& target, int redirects) const {
    std::string shown = target.substr(0, 200);
    std::ranges::replace_if(shown, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
    if (redirects >= kMostRedirects) {
      throw Error(ErrorCode::kUnavailable, url_ + " is redirected more than " +
                                               std::to_string(kMostRedirects) + " times, the last time to " +
                                               shown + ": given up");
    }
    const std::string scheme = url_part(target, CURLUPART_SCHEME);
    if (scheme != "https" && !(options_.allow_file_url && scheme == "http")) {
      throw Error(ErrorCode::kUnavailable,
                  url_ + " is redirected to " + shown + ": only https is followed, nothing was downloaded");
    }
    const std::string host = url_part(target, CURLUPART_HOST);
    const bool local = is_address(host) ? !is_public_address(host) : is_local_name(host);
    if (local && !(options_.allow_file_url && is_loopback_address(host))) {
      throw Error(ErrorCode::kUnavailable,
                  url_ + " is redirected to " + shown +
                      ", which is no public address: nothing is downloaded from there");
    }
  }

  bool judge(const Attempt& attempt, CURLcode result, std::string& why, std::chrono::milliseconds& wait) {
    if (!attempt.refused_address.empty() && result != CURLE_OK) {
      throw Error(ErrorCode::kUnavailable,
                  url_ + " leads to " + attempt.refused_address +
                      ", which is no public address: nothing is downloaded from there");
    }
    if (attempt.too_long && options_.bytes == 0) {
      part_.clear();
      refuse("it is longer than " + human_bytes(options_.max_bytes) + ", the most that is taken");
    }
    if (attempt.too_long) {
      part_.clear();
      refuse("it is longer than " + std::to_string(options_.bytes) + " bytes");
    }
    if (attempt.header_bytes > kMostHeaderBytes) {
      throw Error(ErrorCode::kUnavailable,
                  url_ + ": the server's answer has a header without end. " + by_hand());
    }
    const long status = attempt.status();
    if (result == CURLE_OK && (status == 200 || status == 206 || (status == 0 && is_file_url()))) {
      // An empty body never reaches the callback; as a whole answer it is an empty file.
      if (!attempt.begun && status != 206) part_.clear();
      return true;
    }
    if (status == 416 && attempt.asked_from > 0) {
      if (attempt.range_size == attempt.asked_from) return true;
      part_.clear();
      why = url_ + " has changed since the download began";
      return false;
    }
    if (status == 206 && attempt.begun && attempt.range_start != attempt.asked_from) {
      part_.clear();
      why = url_ + ": the server sent another part than the one asked for";
      return false;
    }
    const bool cut_error_page = attempt.error_page_bytes > kMostErrorPageBytes;
    if ((result == CURLE_OK || cut_error_page) && status >= 300) {
      why = url_ + ": the server answered with status " + std::to_string(status);
      if (!may_pass(status)) throw Error(ErrorCode::kUnavailable, why + ". " + by_hand());
      curl_off_t after = 0;
      curl_easy_getinfo(curl_.get(), CURLINFO_RETRY_AFTER, &after);
      wait = std::chrono::seconds(std::clamp<curl_off_t>(after, 0, kLongestWait.count()));
      return false;
    }
    why = url_ + ": " + (error_text_[0] != '\0' ? error_text_ : curl_easy_strerror(result));
    if (!may_pass(result)) throw Error(ErrorCode::kUnavailable, unavailable(why));
    return false;
  }

  void set_options(Attempt& attempt, const std::string& url) {
    CURL* curl = curl_.get();
    curl_easy_reset(curl);
    error_text_[0] = '\0';
    const char* schemes = options_.allow_file_url ? "file,http,https" : "https";
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, schemes);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);  // request() looks at each target first
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "pomona/" POMONA_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text_);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &attempt);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &attempt);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &on_open);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &attempt);
    if (options_.allow_file_url) curl_easy_setopt(curl, CURLOPT_NOPROXY, "127.0.0.1,localhost");
    // As the curl command does: companies that open TLS at their proxy hand out their certificate so.
    if (const std::string bundle = environment({"CURL_CA_BUNDLE", "SSL_CERT_FILE"}); !bundle.empty()) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, bundle.c_str());
    }
    // CURLOPT_RESUME_FROM would fail where the server knows no ranges; so we see it and start over.
    if (attempt.asked_from > 0) {
      curl_easy_setopt(curl, CURLOPT_RANGE, (std::to_string(attempt.asked_from) + "-").c_str());
    }
  }

  // What is wrong with the finished part; empty where nothing is.
  std::string difference() const {
    if (options_.bytes > 0 && part_.size() != options_.bytes) {
      return "it has " + std::to_string(part_.size()) + " bytes, not " + std::to_string(options_.bytes);
    }
    if (options_.sha256.empty()) return {};
    const std::string found = sha256_file(part_.path());
    return found == options_.sha256 ? std::string() : "its SHA-256 is " + found + ", not " + options_.sha256;
  }

  [[noreturn]] void refuse(const std::string& wrong) const {
    std::error_code ignored;
    fs::remove(part_.path(), ignored);
    throw Error(ErrorCode::kMismatch, url_ + " is not the file it should be: " + wrong +
                                          ". It was removed. Try again; if it stays so, the file was changed "
                                          "there, and must not be used");
  }

  std::string by_hand() const { return "Or fetch it on another machine and copy it to " + file_.string(); }

  std::string unavailable(const std::string& why) const {
    return why + ". Is this machine online? Behind a proxy, set https_proxy. " + by_hand();
  }

  const std::string& url_;
  const fs::path& file_;
  const DownloadOptions& options_;
  const Hooks& hooks_;
  Meter meter_;
  PartFile part_;
  std::set<Endpoint> proxies_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_;
  char error_text_[CURL_ERROR_SIZE] = {};
};

}  // namespace

void download(const std::string& url, const fs::path& file, const DownloadOptions& options,
              const Hooks& hooks) {
  init_curl();
  std::error_code error;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), error);
  if (error) {
    throw Error(error == std::errc::permission_denied ? ErrorCode::kPermission : ErrorCode::kIo,
                "cannot make the folder " + file.parent_path().string() + ": " + error.message());
  }
  Transfer(url, file, options, hooks).run();
}

}  // namespace pomona
