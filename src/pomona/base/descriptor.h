// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

namespace pomona {

// Owns an open file descriptor, or -1. Not thread-safe.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace pomona
