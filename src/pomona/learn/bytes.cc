// SPDX-License-Identifier: Apache-2.0
#include "pomona/learn/bytes.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "pomona/base/error.h"

namespace pomona {

ByteWriter::ByteWriter(std::string_view magic, std::uint32_t version) : bytes_(magic) {
  number(version);
}

void ByteWriter::text(std::string_view text) {
  number(static_cast<std::uint32_t>(text.size()));
  bytes_ += text;
}

std::string ByteWriter::finish() {
  number(static_cast<std::uint64_t>(XXH3_64bits(bytes_.data(), bytes_.size())));
  return std::move(bytes_);
}

ByteReader::ByteReader(std::string_view bytes, std::string_view magic, std::uint32_t version,
                       std::string_view what)
    : rest_(bytes), what_(what) {
  if (!bytes.starts_with(magic)) fail("another beginning");
  take(magic.size());
  const auto found = number<std::uint32_t>();
  if (found > version) {
    throw Error(ErrorCode::kFormat,
                fmt::format("This {} file has version {}; this Pomona reads up to {}. Use a newer Pomona.",
                            what_, found, version));
  }
  if (found == 0 || rest_.size() < sizeof(std::uint64_t)) fail("too few bytes");
  const std::size_t checked = bytes.size() - sizeof(std::uint64_t);
  std::uint64_t checksum;
  std::memcpy(&checksum, bytes.data() + checked, sizeof checksum);
  if (checksum != XXH3_64bits(bytes.data(), checked)) fail("a wrong checksum: it is damaged or cut off");
  rest_.remove_suffix(sizeof checksum);
}

std::string_view ByteReader::text() {
  const auto size = number<std::uint32_t>();
  return {take(size), size};
}

void ByteReader::finish() {
  if (!rest_.empty()) fail("bytes left over at its end");
}

void ByteReader::fail(std::string_view reason) const {
  throw Error(ErrorCode::kFormat, fmt::format("This is not a readable {} file: it has {}.", what_, reason));
}

const char* ByteReader::take(std::size_t count) {
  if (count > rest_.size()) fail("fewer bytes than its header says");
  const char* from = rest_.data();
  rest_.remove_prefix(count);
  return from;
}

}  // namespace pomona
