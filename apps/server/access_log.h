// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "message.h"

namespace pomona::server {

// One JSON object a line for every request: time, client, method, path (without the query, which may hold
// what people typed), route, status, bytes, milliseconds, token's name, photos. Nothing of a photo, a form or
// a header is ever in it. Thread-safe.
class AccessLog {
 public:
  // "-" = standard error; empty = no log. `addresses` off leaves the last part of client addresses out.
  // Throws Error{kIo | kPermission}.
  AccessLog(const std::string& file, bool addresses);

  void write(const Request& request, int status, std::size_t bytes, double seconds);
  // Opens the file again, for whoever rotates logs.
  void reopen();

 private:
  struct Close {
    void operator()(std::FILE* file) const;
  };
  std::string name_;
  bool addresses_;
  std::mutex mutex_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace pomona::server
