// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "pomona/base/hash.h"
#include "pomona/image/decode.h"
#include "pomona/storage/dataset.h"

namespace pomona {

// Photos of one run with the same bytes: the first is computed, the others take its vector. Keeps the vectors
// computed last, up to a number of bytes, so that memory stays bounded however many photos there are; a copy
// that comes later than that is computed again, to the same bits. Thread-safe.
class PhotoTwins {
 public:
  static constexpr std::size_t kBytes = std::size_t{64} << 20;

  // What tells photos apart: a hash that is not cryptographic, and the number of bytes.
  struct Content {
    ContentHash hash{};
    std::uint64_t bytes = 0;
    bool operator==(const Content&) const = default;
  };
  // A photo on its way to becoming a row.
  struct Twin {
    std::uint64_t index = 0;
    RowInfo info;
    std::string path_bytes;  // see RejectRow
  };

  enum class Claim : std::uint8_t {
    kCompute,  // the caller computes it, and must call settle() or give_up()
    kWait,     // another worker does: `photo` was taken, and comes back to that one
    kKnown,    // `vector` and the size in `photo` are filled in
  };

  // d: floats per vector; `bytes`: of all vectors that are kept, at least one.
  explicit PhotoTwins(std::size_t d, std::size_t bytes = kBytes);

  Claim claim(const Content& content, Twin& photo, std::span<float> vector);
  // The vector of a photo that was claimed for computing. Gives those that wait for it, sizes filled in.
  std::vector<Twin> settle(const Content& content, const PhotoInfo& size, std::span<const float> vector);
  // The photo turned out to be none. Gives those that wait for it.
  std::vector<Twin> give_up(const Content& content);

 private:
  struct Hasher {
    std::size_t operator()(const Content& content) const noexcept {
      return ContentHashHasher{}(content.hash);
    }
  };
  struct Photo {
    PhotoInfo size;
    std::optional<std::size_t> place;  // of its vector; none while it is computed
    std::vector<Twin> waiting;
  };
  static constexpr std::size_t kChunk = 64;  // vectors allocated together

  std::span<float> at(std::size_t place);

  const std::size_t d_;
  const std::size_t capacity_;
  std::mutex mutex_;  // guards what follows
  std::unordered_map<Content, Photo, Hasher> photos_;
  std::vector<std::unique_ptr<float[]>> chunks_;
  std::vector<Content> owners_;  // by place; the oldest makes room for the newest
  std::size_t next_ = 0;
};

}  // namespace pomona
