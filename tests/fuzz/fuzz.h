// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the fuzz targets share. A target is one function, LLVMFuzzerTestOneInput: linked with libFuzzer it is
// a fuzzer, linked with replay.cc a test. Whatever the bytes, a reader may refuse them (a Rejection, an Error
// that is not our own mistake) or take them; anything else ends the program, which is a finding.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "pomona/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace pomona::fuzz {

// The bytes of one input: small choices are taken off its front, the rest is what a reader gets.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  // The next byte, 0 where nothing is left.
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  // The text up to the next zero byte, which is dropped.
  std::string_view word() {
    const std::size_t end = rest_.find('\0');
    const std::string_view own = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return own;
  }
  std::string_view text() const { return rest_; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(rest_.data(), rest_.size())); }

 private:
  std::string_view rest_;
};

// Ends the program with `message`: a finding.
[[noreturn]] void finding(const std::string& message);

inline void require(bool condition, const char* message) {
  if (!condition) finding(message);
}

// Runs `step`, whose input may be refused with an Error; kInternal is a finding, as is any other exception.
// True where it was taken.
template <typename Step>
bool accepts(Step&& step) {
  try {
    step();
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) finding(std::string("kInternal: ") + error.what());
    return false;
  }
}

// A folder of this process in memory where there is such a place; removed when the process ends.
const std::filesystem::path& scratch();

// Writes a file below scratch(), with its folders. Its path.
std::filesystem::path write_scratch(const std::string& name, std::string_view bytes);

// Removes all below scratch().
void clear_scratch();

}  // namespace pomona::fuzz
