// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pomona {

// What kind of failure ended a job. The command and the server map these to exit codes and HTTP statuses.
enum class ErrorCode {
  kUsage,        // the call itself is wrong: an unknown option, a k larger than d
  kNotFound,     // a file, bucket, model or column that is not there
  kPermission,   // there, but not for us
  kExists,       // would overwrite something finished
  kIo,           // the disk or the store failed: full, dead, reset
  kFormat,       // the input is there and readable, but not what it should be
  kMismatch,     // two things that must not be mixed: fingerprints, dimensions
  kUnavailable,  // this machine or build cannot do it: no network, library missing
  kCancelled,    // the caller asked to stop
  kInternal,     // our own mistake
};

std::string_view to_string(ErrorCode code);

// A failure of a whole job. `what()` says what was wrong, with which input, and what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// The stage at which a photo failed; its name stands in the `stage` column of `_rejects/`.
enum class Stage : std::uint8_t { kList, kRead, kDecode, kResize, kFeaturize };

std::string_view to_string(Stage stage);

// A failure of one photo: never an exception, always a row in `_rejects/`.
struct Rejection {
  Stage stage = Stage::kDecode;
  std::string reason;  // what is wrong with it, in one sentence, for the photo's owner
};

template <typename T>
using Outcome = std::expected<T, Rejection>;

inline std::unexpected<Rejection> reject(Stage stage, std::string reason) {
  return std::unexpected(Rejection{stage, std::move(reason)});
}

}  // namespace pomona
