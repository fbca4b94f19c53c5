// SPDX-License-Identifier: Apache-2.0
#include "access_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "pomona/base/error.h"
#include "rate_limit.h"

namespace pomona::server {
namespace {

constexpr std::size_t kLongestPath = 200;
constexpr std::string_view kCodes = "/contributions/";  // deletion codes stand after it

std::string without_host(const std::string& address) {
  std::string key = RateLimit::key(address);
  if (key != address) return key;
  const std::size_t dot = address.rfind('.');
  return dot == std::string::npos ? address : address.substr(0, dot) + ".0/24";
}

}  // namespace

void AccessLog::Close::operator()(std::FILE* file) const {
  if (file != stderr) std::fclose(file);
}

AccessLog::AccessLog(const std::string& file, bool addresses) : name_(file), addresses_(addresses) {
  reopen();
}

void AccessLog::reopen() {
  if (name_.empty()) return;
  std::unique_ptr<std::FILE, Close> fresh(name_ == "-" ? stderr : std::fopen(name_.c_str(), "ae"));
  if (!fresh) {
    throw Error(errno == EACCES ? ErrorCode::kPermission : ErrorCode::kIo,
                name_ + ": cannot be written as access log (" + std::strerror(errno) + ")");
  }
  const std::lock_guard lock(mutex_);
  file_ = std::move(fresh);
}

void AccessLog::write(const Request& request, int status, std::size_t bytes, double seconds) {
  if (name_.empty()) return;
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  nlohmann::ordered_json line;
  line["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                             fmt::gmtime(std::chrono::system_clock::to_time_t(whole)), (now - whole).count());
  line["id"] = request.id;
  line["client"] = addresses_ ? request.client : without_host(request.client);
  if (!request.token.empty()) line["token"] = request.token;
  line["method"] = request.method;
  // A deletion code is a secret, in a request that is refused too: a preflight, a slip in method or path.
  const bool parameter = request.route.find('{') != std::string::npos;
  std::string path = parameter ? request.route : request.path;
  if (const std::size_t at = path.find(kCodes); at != std::string::npos) {
    path = path.substr(0, at + kCodes.size()) + "{code}";
  }
  line["path"] = path.substr(0, kLongestPath);
  line["status"] = status;
  line["received"] = request.body.size();
  line["sent"] = bytes;
  line["ms"] = std::stod(fmt::format("{:.3f}", 1e3 * seconds));
  if (request.photos > 0) line["photos"] = request.photos;
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const std::lock_guard lock(mutex_);
  std::fwrite(text.data(), 1, text.size(), file_.get());
  std::fflush(file_.get());
}

}  // namespace pomona::server
