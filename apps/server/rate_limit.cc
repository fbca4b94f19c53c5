// SPDX-License-Identifier: Apache-2.0
#include "rate_limit.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace pomona::server {

double RateLimit::take(const std::string& client, Clock::time_point now) {
  if (rate_ <= 0) return 0;
  const std::lock_guard lock(mutex_);
  const auto known = by_client_.find(client);
  if (known == by_client_.end()) {
    if (buckets_.size() >= most_) {
      by_client_.erase(buckets_.back().client);
      buckets_.pop_back();
    }
    buckets_.push_front({client, burst_, now});
    by_client_[client] = buckets_.begin();
  } else {
    buckets_.splice(buckets_.begin(), buckets_, known->second);
  }
  Bucket& bucket = buckets_.front();
  const double passed = std::chrono::duration<double>(now - bucket.seen).count();
  bucket.left = std::min(burst_, bucket.left + std::max(passed, 0.0) * rate_);
  bucket.seen = now;
  if (bucket.left < 1) return (1 - bucket.left) / rate_;
  bucket.left -= 1;
  return 0;
}

std::size_t RateLimit::clients() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

std::string RateLimit::key(const std::string& address) {
  in6_addr parsed{};
  if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return address;
  std::memset(parsed.s6_addr + 8, 0, 8);
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, &parsed, text, sizeof text) == nullptr ? address : std::string(text) + "/64";
}

}  // namespace pomona::server
