// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/known_rows.h"

#include <algorithm>

namespace pomona {
namespace {

// Photos come in about the order in which the old parts hold them: a few groups suffice.
constexpr std::size_t kCachedGroups = 8;

}  // namespace

KnownRows::KnownRows(const Store& dest, const Schema& schema, const std::vector<PartRecord>& parts)
    : reader_(DatasetReader::open_parts(dest, schema, parts)), d_(schema.d) {
  for (std::uint32_t part = 0; part < reader_.parts().size(); ++part) {
    if (reader_.parts()[part].rows == 0) continue;
    for (std::uint32_t group = 0; group < reader_.row_groups(part); ++group) {
      const Block block = reader_.read_row_group(part, group, false);
      for (std::uint32_t row = 0; row < block.rows.size(); ++row) {
        places_.push_back({block.rows[row].hash, part, group, row});
      }
    }
  }
  std::ranges::sort(places_, {}, &Place::hash);
}

std::optional<KnownRows::Row> KnownRows::find(const ContentHash& hash) const {
  const auto at = std::ranges::lower_bound(places_, hash, {}, &Place::hash);
  if (at == places_.end() || at->hash != hash) return std::nullopt;
  const std::lock_guard lock(mutex_);
  auto cached = std::ranges::find_if(
      cache_, [&](const Cached& c) { return c.part == at->part && c.group == at->group; });
  if (cached == cache_.end()) {
    cache_.push_front({at->part, at->group, reader_.read_row_group(at->part, at->group, true)});
    if (cache_.size() > kCachedGroups) cache_.pop_back();
    cached = cache_.begin();
  } else {
    cache_.splice(cache_.begin(), cache_, cached);
  }
  const RowInfo& info = cached->block.rows.at(at->row);
  const auto begin = cached->block.vectors.begin() + static_cast<std::ptrdiff_t>(at->row) * d_;
  return Row{info.width, info.height, std::vector<float>(begin, begin + d_)};
}

}  // namespace pomona
