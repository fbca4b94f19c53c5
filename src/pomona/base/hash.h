// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace pomona {

// XXH3 128-bit of a photo's bytes, big-endian canonical form: the dataset's `content_hash`.
// Not cryptographic: it tells photos apart, it does not prove where they come from.
using ContentHash = std::array<std::uint8_t, 16>;

ContentHash content_hash(std::span<const std::byte> bytes);

struct ContentHashHasher {
  std::size_t operator()(const ContentHash& hash) const noexcept;
};

// Lower-case hexadecimal SHA-256, for files that must be what they claim to be (weights, parts, models).
std::string sha256_hex(std::string_view bytes);

// SHA-256 of a local file, read in pieces. Throws Error{kNotFound | kIo}.
std::string sha256_file(const std::filesystem::path& file);

// SHA-256 over a stream of pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  // Ends the stream; call once.
  std::string hex();

 private:
  void* context_;
};

std::string to_hex(std::span<const std::uint8_t> bytes);

}  // namespace pomona
