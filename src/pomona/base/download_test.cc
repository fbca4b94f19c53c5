// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/download.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/base/public_address.h"

namespace {

// What the name servers of these tests answer, one list of addresses a question; names not here are the
// system's.
struct FakeNames {
  std::mutex mutex;
  std::map<std::string, std::vector<std::vector<std::string>>> answers;
  std::map<std::string, std::size_t> asked;
};

FakeNames& fake_names() {
  static FakeNames names;
  return names;
}

}  // namespace

// The program's own symbol stands before the C library's, also for libcurl. The lists of the system's
// getaddrinfo are taken apart and joined, so that the system's freeaddrinfo frees them.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** list) noexcept(false) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  std::vector<std::string> answer;
  {
    FakeNames& names = fake_names();
    const std::lock_guard lock(names.mutex);
    const auto found = names.answers.find(name != nullptr ? name : "");
    if (found == names.answers.end()) return real(name, service, hints, list);
    const std::size_t turn = names.asked[found->first]++;
    answer = found->second[std::min(turn, found->second.size() - 1)];
  }
  addrinfo* first = nullptr;
  addrinfo** end = &first;
  for (const std::string& address : answer) {
    addrinfo any{};
    any.ai_flags = AI_NUMERICHOST;
    any.ai_socktype = SOCK_STREAM;
    if (real(address.c_str(), service, &any, end) != 0) continue;
    while (*end != nullptr) end = &(*end)->ai_next;
  }
  *list = first;
  return first != nullptr ? 0 : EAI_NONAME;
}

namespace pomona {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Request {
  std::string target;   // the path, or a whole URL where we are the proxy
  long long from = -1;  // of a Range request
};

// A web server on a loopback port: one connection at a time, one request each, answered by `handler` with
// the very bytes to send. Closes the connection afterwards.
class Server {
 public:
  explicit Server(std::function<std::string(const Request&)> handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::listen(listener_, 8) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      ADD_FAILURE() << "no loopback port to listen on";
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string url(const std::string& path = "/file") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  int port() const { return port_; }
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stop_) {
      pollfd wait{listener_, POLLIN, 0};
      if (::poll(&wait, 1, 20) <= 0) continue;
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      std::string head;
      char buffer[4096];
      while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(client, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        head.append(buffer, static_cast<std::size_t>(got));
      }
      Request request;
      const std::size_t start = head.find(' ') + 1;
      request.target = head.substr(start, head.find(' ', start) - start);
      if (const std::size_t range = head.find("Range: bytes="); range != std::string::npos) {
        request.from = std::atoll(head.c_str() + range + 13);
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = handler_(request);
      ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::shutdown(client, SHUT_WR);
      while (::recv(client, buffer, sizeof buffer, 0) > 0) {
      }
      ::close(client);
    }
  }

  std::function<std::string(const Request&)> handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
};

std::string answer(int status, const std::string& headers, const std::string& body, std::size_t declared) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\n" + headers +
         "Connection: close\r\nContent-Length: " + std::to_string(declared) + "\r\n\r\n" + body;
}

std::string whole(const std::string& body) {
  return answer(200, "", body, body.size());
}

std::string ranged(const std::string& body, const Request& request) {
  if (request.from < 0) return whole(body);
  const auto from = static_cast<std::size_t>(request.from);
  const std::string size = std::to_string(body.size());
  if (from >= body.size()) return answer(416, "Content-Range: bytes */" + size + "\r\n", "", 0);
  const std::string range = std::to_string(from) + "-" + std::to_string(body.size() - 1) + "/" + size;
  return answer(206, "Content-Range: bytes " + range + "\r\n", body.substr(from), body.size() - from);
}

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() {
    char name[] = "/tmp/pomona-download-XXXXXX";
    folder_ = ::mkdtemp(name);
    file_ = folder_ / "models" / "network.onnx";
    part_ = file_.string() + ".part";
    for (std::size_t i = 0; i < 300'000; ++i) body_.push_back(static_cast<char>((i * i) >> 7));
    options_.sha256 = sha256_hex(body_);
    options_.bytes = body_.size();
    options_.allow_file_url = true;
  }
  ~DownloadTest() override { fs::remove_all(folder_); }

  // The error a download ends in; fails the test where it does not.
  Error error_of(const std::string& url) {
    try {
      download(url, file_, options_, hooks_);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error";
    return {ErrorCode::kInternal, ""};
  }

  void leave_part(const std::string& bytes) { write_file_atomically(part_, bytes); }

  fs::path folder_;
  fs::path file_;
  fs::path part_;
  std::string body_;
  DownloadOptions options_;
  Hooks hooks_;
};

TEST_F(DownloadTest, FetchesReportsProgressAndLeavesNoPart) {
  Server server([&](const Request& request) { return ranged(body_, request); });
  std::vector<Progress> seen;
  hooks_.progress = [&](const Progress& progress) { seen.push_back(progress); };
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  EXPECT_FALSE(fs::exists(part_));
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().unit, "bytes");
  EXPECT_EQ(seen.back().done, body_.size());
  EXPECT_EQ(seen.back().total, body_.size());
}

TEST_F(DownloadTest, GoesOnWhereAnEarlierRunStopped) {
  Server server([&](const Request& request) { return ranged(body_, request); });
  leave_part(body_.substr(0, 100'000));
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(server.requests()[0].from, 100'000);
}

TEST_F(DownloadTest, StartsOverWhereTheServerKnowsNoRanges) {
  Server server([&](const Request&) { return whole(body_); });
  leave_part(std::string(100'000, 'x'));
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
}

TEST_F(DownloadTest, ATooLongOrStalePartIsDropped) {
  Server server([&](const Request& request) { return ranged(body_, request); });
  leave_part(body_ + "more");
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  leave_part(std::string(1'000, 'x'));  // the beginning of another version
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
}

TEST_F(DownloadTest, ACompletePartOfUnknownSizeIsTakenAsItIs) {
  Server server([&](const Request& request) { return ranged(body_, request); });
  options_.bytes = 0;
  leave_part(body_);
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
}

TEST_F(DownloadTest, CutConnectionsAreResumedAsLongAsSomethingNewArrives) {
  Server server([&](const Request& request) {  // never more than 60,000 bytes at once: five requests
    const std::string all = ranged(body_, request);
    return all.substr(0, all.find("\r\n\r\n") + 4 + 60'000);
  });
  options_.attempts = 2;
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  EXPECT_EQ(server.requests().size(), 5U);
}

TEST_F(DownloadTest, KeepsThePartWhereTheServerStaysCut) {
  Server server([&](const Request&) { return answer(200, "", body_.substr(0, 5'000), body_.size()); });
  options_.attempts = 2;
  const Error error = error_of(server.url());
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_EQ(fs::file_size(part_), 5'000U);
}

TEST_F(DownloadTest, ABusyServerIsAskedAgain) {
  std::atomic<int> count = 0;
  Server server([&](const Request& request) {
    return count++ == 0 ? answer(503, "", "busy", 4) : ranged(body_, request);
  });
  std::vector<std::string> notes;
  hooks_.note = [&](const std::string& note) { notes.push_back(note); };
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  EXPECT_THAT(notes, ::testing::ElementsAre(HasSubstr("503")));
}

TEST_F(DownloadTest, ARefusalIsFinalAndSaysItsStatusAndTheWayByHand) {
  Server server([&](const Request&) { return answer(404, "", "gone", 4); });
  const Error error = error_of(server.url());
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("404"));
  EXPECT_THAT(error.what(), HasSubstr(file_.string()));
  EXPECT_EQ(server.requests().size(), 1U);
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(DownloadTest, AWrongFileIsRemoved) {
  std::string other = body_;
  other[7] ^= 1;
  Server server([&](const Request& request) { return ranged(other, request); });
  const Error error = error_of(server.url());
  EXPECT_EQ(error.code(), ErrorCode::kMismatch);
  EXPECT_THAT(error.what(), HasSubstr("SHA-256"));
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_FALSE(fs::exists(part_));
}

TEST_F(DownloadTest, AFileOfAnotherSizeIsRemoved) {
  Server longer([&](const Request&) { return whole(body_ + body_); });
  EXPECT_EQ(error_of(longer.url()).code(), ErrorCode::kMismatch);
  Server shorter([&](const Request&) { return whole(body_.substr(1)); });
  EXPECT_EQ(error_of(shorter.url()).code(), ErrorCode::kMismatch);
  EXPECT_FALSE(fs::exists(part_));
}

TEST_F(DownloadTest, OfflineSaysWhatToDo) {
  int port = 0;
  {
    const Server server([](const Request&) { return std::string(); });
    port = server.port();
  }
  options_.attempts = 1;
  const Error error = error_of("http://127.0.0.1:" + std::to_string(port) + "/file");
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("https_proxy"));
  EXPECT_THAT(error.what(), HasSubstr("copy it to " + file_.string()));
}

TEST_F(DownloadTest, FollowsRedirectsButNotToPrivatePlacesOrOtherSchemes) {
  Server target([&](const Request& request) { return ranged(body_, request); });
  std::string location = target.url();
  Server server([&](const Request&) { return answer(302, "Location: " + location + "\r\n", "", 0); });
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  for (const char* place :
       {"http://169.254.169.254/latest/meta-data", "https://10.1.2.3/", "https://[fd00::1]/",
        "https://[fe80::1%25eth0]/", "https://[::ffff:192.168.1.1]/", "http://0xA9FEA9FE/latest",
        "http://2852039166/latest", "https://metadata.google.internal/", "https://LOCALHOST./",
        "//192.168.0.1/x"}) {
    location = place;
    const Error error = error_of(server.url());
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << place;
    EXPECT_THAT(error.what(), HasSubstr("no public address")) << place;
  }
  for (const char* place : {"file:///etc/passwd", "ftp://example.org/file", "gopher://example.org/",
                            "dict://x/", "scp://example.org/x"}) {
    location = place;
    const Error error = error_of(server.url());
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << place;
    EXPECT_THAT(error.what(), HasSubstr(std::string("redirected to ") + place)) << place;
    EXPECT_THAT(error.what(), HasSubstr("only https is followed")) << place;
  }
  EXPECT_EQ(read_file(file_), body_) << "what was there is untouched";
}

TEST_F(DownloadTest, RedirectsEnd) {
  int last = 0;
  Server server([&](const Request& request) {
    const int step = std::stoi(request.target.substr(1));
    return step == last ? ranged(body_, request)
                        : answer(302, "Location: /" + std::to_string(step + 1) + "\r\n", "moved", 5);
  });
  last = 8;
  download(server.url("/0"), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  last = -1;
  EXPECT_THAT(error_of(server.url("/0")).what(), HasSubstr("more than 8 times"));
  EXPECT_EQ(server.requests().size(), 9U + 9U);
}

TEST_F(DownloadTest, ARedirectKeepsTheRangeOfAResumedDownload) {
  Server server([&](const Request& request) {
    return request.target == "/file" ? answer(307, "Location: /elsewhere\r\n", "", 0)
                                     : ranged(body_, request);
  });
  leave_part(body_.substr(0, 250'000));
  download(server.url(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[1].from, 250'000);
}

TEST_F(DownloadTest, BehindAProxyPrivatePlacesAreRefusedAsTheRedirectSaysThem) {
  std::string location;
  Server proxy([&](const Request&) { return answer(302, "Location: " + location + "\r\n", "", 0); });
  ::setenv("http_proxy", proxy.url("").c_str(), 1);
  for (const char* place :
       {"http://169.254.169.254/", "http://metadata.google.internal/", "http://10.0.0.1:8080/x"}) {
    location = place;
    EXPECT_THAT(error_of("http://somewhere.invalid/network.onnx").what(), HasSubstr("no public address"))
        << place;
  }
  ::unsetenv("http_proxy");
  EXPECT_EQ(proxy.requests().size(), 3U) << "the targets were never asked for";
}

TEST_F(DownloadTest, NamesThatResolveToPrivatePlacesAreRefused) {
  options_.allow_file_url = false;
  for (const char* address :
       {"127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "fd12::1", "::ffff:10.0.0.7"}) {
    {
      const std::lock_guard lock(fake_names().mutex);
      fake_names().answers["inside.test"] = {{address}};
    }
    const Error error = error_of("https://inside.test/network.onnx");
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << address;
    EXPECT_THAT(error.what(), HasSubstr("no public address")) << address;
  }
}

// DNS rebinding: a name that is harmless when it is first looked up, and private the next time. The check is
// made on the address that is connected to, of each connection.
TEST_F(DownloadTest, ANameThatChangesItsAddressGainsNothing) {
  Server server([&](const Request& request) {  // cut after 60,000 bytes: another connection is made
    const std::string all = ranged(body_, request);
    return all.substr(0, all.find("\r\n\r\n") + 4 + 60'000);
  });
  {
    const std::lock_guard lock(fake_names().mutex);
    // libcurl remembers a name for a minute of a handle's life; a new download asks again.
    fake_names().answers["rebind.test"] = {{"127.0.0.1"}, {"10.0.0.1"}};
  }
  const std::string url = "http://rebind.test:" + std::to_string(server.port()) + "/file";
  options_.attempts = 1;
  hooks_.progress = [](const Progress&) { throw Error(ErrorCode::kCancelled, "enough for now"); };
  EXPECT_EQ(error_of(url).code(), ErrorCode::kCancelled);
  hooks_.progress = nullptr;
  const std::size_t before = server.requests().size();
  const Error error = error_of(url);
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("10.0.0.1, which is no public address"));
  EXPECT_EQ(server.requests().size(), before);
  const std::lock_guard lock(fake_names().mutex);
  EXPECT_EQ(fake_names().asked["rebind.test"], 2U)
      << "one look-up a connection, used for check and connection";
}

TEST_F(DownloadTest, AFileWithoutEndIsRefused) {
  options_.sha256.clear();
  options_.bytes = 0;
  options_.max_bytes = 200'000;
  Server server([&](const Request&) { return "HTTP/1.1 200 x\r\nConnection: close\r\n\r\n" + body_; });
  const Error error = error_of(server.url());
  EXPECT_EQ(error.code(), ErrorCode::kMismatch);
  EXPECT_THAT(error.what(), HasSubstr("the most that is taken"));
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_FALSE(fs::exists(part_));
}

TEST_F(DownloadTest, ErrorPagesAndHeadersWithoutEndAreCut) {
  const std::string page(3'000'000, 'x');
  Server errors([&](const Request&) { return "HTTP/1.1 404 x\r\nConnection: close\r\n\r\n" + page; });
  EXPECT_THAT(error_of(errors.url()).what(), HasSubstr("status 404"));
  std::string headers = "HTTP/1.1 200 x\r\n";
  for (int i = 0; i < 40'000; ++i) headers += "X-" + std::to_string(i) + ": y\r\n";
  Server talkative([&](const Request&) { return headers + "\r\n" + body_; });
  EXPECT_THAT(error_of(talkative.url()).what(), HasSubstr("header without end"));
}

TEST_F(DownloadTest, LoopbackAndPlainHttpAreRefusedUnlessAllowed) {
  Server server([&](const Request& request) { return ranged(body_, request); });
  options_.allow_file_url = false;
  EXPECT_EQ(error_of(server.url()).code(), ErrorCode::kUnavailable);
  const std::string https = "https://127.0.0.1:" + std::to_string(server.port()) + "/";
  EXPECT_THAT(error_of(https).what(), HasSubstr("no public address"));
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(DownloadTest, TheProxyOfTheEnvironmentIsUsed) {
  Server proxy([&](const Request& request) { return ranged(body_, request); });
  const std::string url = "http://somewhere.invalid/network.onnx";
  ::setenv("http_proxy", proxy.url("").c_str(), 1);
  download(url, file_, options_, hooks_);
  ::unsetenv("http_proxy");
  EXPECT_EQ(read_file(file_), body_);
  ASSERT_EQ(proxy.requests().size(), 1U);
  EXPECT_EQ(proxy.requests()[0].target, url);
}

TEST_F(DownloadTest, LocalFilesAreCopied) {
  write_file_atomically(folder_ / "source", body_);
  download("file://" + (folder_ / "source").string(), file_, options_, hooks_);
  EXPECT_EQ(read_file(file_), body_);
}

TEST_F(DownloadTest, AnExceptionOfTheCallerStopsIt) {
  Server server([&](const Request& request) { return ranged(body_, request); });
  hooks_.progress = [](const Progress&) { throw Error(ErrorCode::kCancelled, "enough"); };
  EXPECT_EQ(error_of(server.url()).code(), ErrorCode::kCancelled);
  EXPECT_FALSE(fs::exists(file_));
}

TEST(PublicAddress, TellsThePublicInternetFromTheRest) {
  for (const char* ip : {"140.82.121.4", "8.8.8.8", "172.32.0.1", "2606:50c0:8000::153", "::ffff:8.8.8.8"}) {
    EXPECT_TRUE(is_public_address(ip)) << ip;
  }
  for (const char* ip : {"127.0.0.1",
                         "10.1.2.3",
                         "172.16.0.1",
                         "172.31.255.255",
                         "192.168.1.1",
                         "169.254.169.254",
                         "192.0.2.1",
                         "198.51.100.7",
                         "203.0.113.9",
                         "192.88.99.1",
                         "198.18.0.1",
                         "240.0.0.1",
                         "2001::1",
                         "2001:db8::1",
                         "3fff:fff::1",
                         "2001:0:a9fe:a9fe::",
                         "fe80::1%eth0",
                         "fec0::1",
                         "::10.0.0.1",
                         "::ffff:169.254.169.254",
                         "64:ff9b:1::1",
                         "127.1",
                         "0x7f000001",
                         "2130706433",
                         "10.0.0.1 ",
                         "8.8.8.8:80",
                         "100.64.0.1",
                         "0.0.0.0",
                         "224.0.0.1",
                         "255.255.255.255",
                         "::1",
                         "::",
                         "fe80::1",
                         "fd00::1",
                         "::ffff:127.0.0.1",
                         "64:ff9b::10.0.0.1",
                         "2002:7f00:1::",
                         "ff02::1",
                         "",
                         "nonsense"}) {
    EXPECT_FALSE(is_public_address(ip)) << ip;
  }
  EXPECT_TRUE(is_loopback_address("127.8.9.1"));
  EXPECT_TRUE(is_loopback_address("::1"));
  EXPECT_FALSE(is_loopback_address("10.0.0.1"));
}

}  // namespace
}  // namespace pomona
