// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pomona {

// The small binary files of learn/: magic (8 bytes), version (u32), values, XXH3-64 of all before it.
// Little-endian. Internal to learn/.

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in memory");

class ByteWriter {
 public:
  ByteWriter(std::string_view magic, std::uint32_t version);

  template <typename T>
    requires std::integral<T> || std::floating_point<T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <typename T>
  void array(std::span<const T> values) {
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  // Length (u32), then the characters.
  void text(std::string_view text);
  std::string finish();

 private:
  std::string bytes_;
};

// Reads what ByteWriter wrote. Every failure throws Error{kFormat} with `what` in its message. Nothing is
// allocated before it is known that the bytes are there.
class ByteReader {
 public:
  // Checks magic, version and checksum. `bytes` must outlive the reader.
  ByteReader(std::string_view bytes, std::string_view magic, std::uint32_t version, std::string_view what);

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  // Refuses NaN and infinities.
  template <typename T>
  std::vector<T> array(std::uint64_t count) {
    if (count > rest_.size() / sizeof(T)) fail("fewer bytes than its header says");
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), take(count * sizeof(T)), count * sizeof(T));
    if constexpr (std::floating_point<T>) {
      for (const T value : values) {
        if (!(value - value == 0)) fail("a value that is no number");
      }
    }
    return values;
  }
  std::string_view text();
  // To be called last: nothing may be left over.
  void finish();
  // Throws: "This is not a readable <what> file: it has <reason>."
  [[noreturn]] void fail(std::string_view reason) const;

 private:
  const char* take(std::size_t count);

  std::string_view rest_;
  std::string what_;
};

}  // namespace pomona
