// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace pomona::server {

// Token buckets, one per client: `rate` requests a second on average, `burst` at once. The table holds at
// most `most` clients; the one not seen for longest gives way, so an attacker with many addresses costs no
// memory. Thread-safe.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  RateLimit(double rate, double burst, std::size_t most = 10'000) : rate_(rate), burst_(burst), most_(most) {}

  // Takes one request from the bucket of `client`. Returns 0 where there was one, else the seconds until
  // there will be. A rate of 0 = no limit.
  double take(const std::string& client, Clock::time_point now = Clock::now());

  std::size_t clients() const;

  // What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is one subscriber.
  static std::string key(const std::string& address);

 private:
  struct Bucket {
    std::string client;
    double left = 0;
    Clock::time_point seen;
  };

  double rate_;
  double burst_;
  std::size_t most_;
  mutable std::mutex mutex_;
  std::list<Bucket> buckets_;  // last seen first
  std::unordered_map<std::string, std::list<Bucket>::iterator> by_client_;
};

}  // namespace pomona::server
