// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/seen_photos.h"

#include <algorithm>
#include <string>

namespace pomona {
namespace {

constexpr std::uint64_t kBitsPerPhoto = 24;
constexpr int kProbes = 16;

std::uint64_t half(const ContentHash& hash, std::size_t from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | hash[from + i];
  return value;
}

// Calls `probe` with the number of each bit that stands for the hash.
template <typename Probe>
void each_bit(const ContentHash& hash, std::uint64_t bits, const Probe& probe) {
  const std::uint64_t first = half(hash, 0);
  const std::uint64_t step = half(hash, 8) | 1;
  for (int i = 0; i < kProbes; ++i) probe((first + static_cast<std::uint64_t>(i) * step) % bits);
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

SeenPhotos SeenPhotos::of(std::span<const ContentHash> hashes) {
  SeenPhotos seen;
  seen.photos_ = hashes.size();
  seen.bits_.assign((hashes.size() * kBitsPerPhoto + 7) / 8 + 1, 0);
  for (const ContentHash& hash : hashes) {
    if (hash == ContentHash{}) {
      ++seen.unknown_;
      continue;
    }
    each_bit(hash, seen.bits_.size() * 8, [&](std::uint64_t bit) {
      seen.bits_[bit / 8] = static_cast<std::uint8_t>(seen.bits_[bit / 8] | (1 << (bit % 8)));
    });
  }
  return seen;
}

bool SeenPhotos::may_contain(const ContentHash& hash) const {
  bool all = true;
  each_bit(hash, bits_.size() * 8,
           [&](std::uint64_t bit) { all = all && (bits_[bit / 8] >> (bit % 8) & 1) != 0; });
  return all;
}

nlohmann::json SeenPhotos::to_json() const {
  return {{"kind", "bloom"},
          {"probes", kProbes},
          {"photos", photos_},
          {"unknown", unknown_},
          {"bits", to_hex(bits_)}};
}

std::optional<SeenPhotos> SeenPhotos::from_json(const nlohmann::json& json) {
  if (!json.is_object() || json.value("kind", nlohmann::json()) != "bloom" ||
      json.value("probes", nlohmann::json()) != kProbes)
    return std::nullopt;
  const auto number = [&](const char* name) -> std::optional<std::uint64_t> {
    const auto at = json.find(name);
    if (at == json.end() || !at->is_number_unsigned()) return std::nullopt;
    return at->get<std::uint64_t>();
  };
  const auto photos = number("photos");
  const auto unknown = number("unknown");
  const auto bits = json.find("bits");
  if (!photos || !unknown || bits == json.end() || !bits->is_string()) return std::nullopt;
  const auto& text = bits->get_ref<const std::string&>();
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  SeenPhotos seen;
  seen.photos_ = *photos;
  seen.unknown_ = *unknown;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    seen.bits_.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return seen;
}

}  // namespace pomona
