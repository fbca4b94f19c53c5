// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <map>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/storage/listing_internal.h"
#include "pomona/storage/remote_connect_internal.h"
#include "pomona/storage/uri_internal.h"
#include "pomona/storage/uri_options_internal.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

// Where a source is, so that two can be compared.
struct Place {
  std::string named;   // store and path as they were given, the path absolute
  std::string real;    // without symbolic links, where it is local
  bool listed = true;  // a listing of a folder above comes to it: not so to a file of another kind
};

std::string plain(const fs::path& path) {
  std::string text = path.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

Place place_of(const std::string& source, const ListingSink& filter) {
  Place place;
  if (is_remote_uri(source)) {
    const RemoteUri uri = parse_remote(source, true);
    const std::string server = UriOptions(uri.options).take("endpoint_override").value_or("");
    place.named =
        (is_gcs(uri) ? "gs" : uri.scheme) + "://" + shown_authority(uri) + "?" + server + "/" + uri.key;
    place.real = place.named;
    return place;
  }
  const fs::path path = local_path(source);
  place.named = plain(fs::absolute(path));
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  place.real = error ? place.named : plain(real);
  if (fs::is_regular_file(path, error)) place.listed = filter.wants(path.filename().string());
  return place;
}

// The nearest source above `path` whose listing comes to it: hidden folders and files are left out of
// listings.
std::optional<std::size_t> source_above(std::string_view path,
                                        const std::map<std::string, std::size_t>& sources) {
  for (auto slash = path.rfind('/'); slash != std::string_view::npos; slash = path.rfind('/')) {
    const std::string_view name = path.substr(slash + 1);
    if (name.empty() || is_hidden(name)) return std::nullopt;
    path = path.substr(0, slash);
    // A root, of this machine or of a bucket, ends in its slash.
    for (const std::string& above : {std::string(path), std::string(path) + "/"}) {
      if (const auto found = sources.find(above); found != sources.end()) return found->second;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string real_path(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  return error ? "" : real.string();
}

bool OtherSources::list(const std::string& real, bool is_folder) {
  if (real.empty()) return false;
  if (!known_) {
    known_.emplace();
    for (std::size_t i = 0; i < sink_.sources().size(); ++i) {
      const std::string& source = sink_.sources()[i];
      if (!is_remote_uri(source)) known_->emplace(real_path(local_path(source)), i);
    }
    if (const auto found = known_->find(real_path(path_)); found != known_->end()) own_ = found->second;
  }
  if (const auto found = known_->find(real); found != known_->end()) return found->second != own_;
  if (!is_folder && !sink_.wants(real.substr(real.rfind('/') + 1))) return false;
  const auto above = source_above(real, *known_);
  return above && above != own_;
}

void require_separate_sources(const ListingOptions& options) {
  const std::function<bool(Entry&&)> nowhere = [](Entry&&) { return true; };
  const ListingSink filter(options, nowhere, {});
  const auto shown = [&](std::size_t i) { return escape_path(without_credentials(options.sources[i])); };
  std::vector<Place> places;
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < options.sources.size(); ++i) {
    const Place& place = places.emplace_back(place_of(options.sources[i], filter));
    if (const auto [same, fresh] = known.emplace(place.real, i); !fresh) {
      throw Error(ErrorCode::kUsage, "the sources " + shown(same->second) + " and " + shown(i) +
                                         " are the same place: its photos would count twice. Leave one out.");
    }
  }
  for (std::size_t i = 0; i < places.size(); ++i) known.emplace(places[i].named, i);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!places[i].listed) continue;
    for (const std::string& name : {places[i].named, places[i].real}) {
      const auto above = source_above(name, known);
      if (!above) continue;
      throw Error(ErrorCode::kUsage, "the source " + shown(i) + " lies in the source " + shown(*above) +
                                         ": its photos would count twice. Leave it out.");
    }
  }
}

}  // namespace pomona
