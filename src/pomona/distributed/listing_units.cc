// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/listing_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/escape.h"
#include "pomona/distributed/listing_chunk.h"
#include "pomona/pipeline/features_dataset.h"
#include "pomona/pipeline/repeated_paths.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/listing_split.h"

namespace pomona::distributed {
namespace {

using nlohmann::json;

// Folders looked into by the one who plans, and names taken in from one of them.
constexpr int kMostLevels = 64;
constexpr std::size_t kMostNames = 20'000;

struct Unit {
  int source = 0;
  std::string below;          // a folder, "" = the whole source
  bool folder = true;         // else photos
  bool whole = false;         // cannot be taken apart further
  std::vector<Entry> photos;  // where it is no folder
};

std::string listing_folder(const std::string& run_id) {
  return "_temporary/" + run_id + "/listing/";
}

// Looks into the folder of a unit; false where it stays as it is.
bool split(const Job& job, const Unit& unit, std::vector<Unit>& into) {
  const auto& listing = job.featurize.listing;
  const auto level =
      list_level(listing, listing.sources.at(static_cast<std::size_t>(unit.source)), unit.below, kMostNames);
  if (!level) return false;
  for (const ListingItem& item : *level) {
    if (!item.photo) {
      into.push_back({unit.source, item.folder, true, false, {}});
      continue;
    }
    if (into.empty() || into.back().folder) into.push_back({unit.source, "", false, true, {}});
    into.back().photos.push_back(*item.photo);
  }
  return true;
}

}  // namespace

json plan_listing(const Job& job, const std::string& run_id, std::size_t wanted) {
  const auto& listing = job.featurize.listing;
  const Store dest = Store::open(job.features);
  json out = json::array();
  int written = 0;
  const auto chunk_name = [&] {
    return fmt::format("{}plan-{:05}.parquet", listing_folder(run_id), written++);
  };
  if (listing.paths_from) {
    const std::string name = chunk_name();
    ListingChunkWriter chunk(dest, name);
    RepeatedPaths repeated;
    list_photos(listing, [&](Entry&& entry) {
      chunk.add(entry);
      repeated.add(entry.path);
      return true;
    });
    chunk.close();
    out.push_back(
        {{"source", -1}, {"chunk", name}, {"count", chunk.count()}, {"warning", repeated.warning()}});
    return out;
  }

  std::vector<Unit> units;
  for (std::size_t i = 0; i < listing.sources.size(); ++i)
    units.push_back({static_cast<int>(i), "", true, false, {}});
  for (int looked = 0; looked < kMostLevels && units.size() < wanted;) {
    std::vector<Unit> next;
    bool any = false;
    for (Unit& unit : units) {
      const bool look = unit.folder && !unit.whole && looked < kMostLevels;
      if (look) ++looked;
      if (look && split(job, unit, next)) {
        any = true;
        continue;
      }
      unit.whole = unit.whole || look;
      next.push_back(std::move(unit));
    }
    units = std::move(next);
    if (!any) break;
  }
  for (const Unit& unit : units) {
    if (unit.folder) {
      out.push_back({{"source", unit.source}, {"below", hex_text(unit.below)}});
      continue;
    }
    const std::string name = chunk_name();
    ListingChunkWriter chunk(dest, name);
    for (const Entry& entry : unit.photos) chunk.add(entry);
    chunk.close();
    out.push_back({{"source", unit.source}, {"chunk", name}, {"count", chunk.count()}});
  }
  return out;
}

json list_unit(const Job& job, const std::string& run_id, const json& unit) {
  const auto source = unit.at("source").get<std::size_t>();
  const Store dest = Store::open(job.features);
  const std::string name = listing_folder(run_id) + new_run_id() + ".parquet";
  ListingChunkWriter chunk(dest, name);
  const auto hex = unit.at("below").get<std::string>();
  const auto below = from_hex(hex);
  if (!below)
    throw Error(ErrorCode::kFormat, "a unit of the listing is damaged: '" + hex + "' are no hex digits");
  list_photos_below(job.featurize.listing, job.featurize.listing.sources.at(source), *below,
                    [&](Entry&& entry) {
                      chunk.add(entry);
                      return true;
                    });
  chunk.close();
  return {{"source", source}, {"chunk", name}, {"count", chunk.count()}};
}

json cut_parts(const Job& job, const json& chunks, std::uint64_t photos_per_part) {
  std::uint64_t left = job.featurize.listing.limit.value_or(UINT64_MAX);
  std::uint64_t first = 0;  // of the part that grows
  json parts = json::array();
  json segments = json::array();
  std::uint64_t count = 0;
  const auto close = [&] {
    parts.push_back({{"index", parts.size()},
                     {"first", first},
                     {"count", count},
                     {"whole", count == photos_per_part},
                     {"segments", std::exchange(segments, json::array())}});
    first += std::exchange(count, 0);
  };
  for (const json& chunk : chunks) {
    const auto there = std::min(chunk.at("count").get<std::uint64_t>(), left);
    left -= there;
    for (std::uint64_t offset = 0; offset < there;) {
      const std::uint64_t taken = std::min(there - offset, photos_per_part - count);
      segments.push_back({{"source", chunk.at("source")},
                          {"chunk", chunk.at("chunk")},
                          {"offset", offset},
                          {"count", taken}});
      offset += taken;
      count += taken;
      if (count == photos_per_part) close();
    }
  }
  if (count > 0) close();
  if (parts.empty()) throw no_photos(job.featurize.listing);
  return parts;
}

}  // namespace pomona::distributed
