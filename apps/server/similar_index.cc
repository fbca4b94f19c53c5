// SPDX-License-Identifier: Apache-2.0
#include "similar_index.h"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>

#include "pomona/base/cpu.h"
#include "pomona/base/error.h"
#include "pomona/learn/neighbours.h"
#include "pomona/report/thumbnails.h"
#include "pomona/storage/dataset.h"

namespace pomona::server {
namespace {

constexpr std::size_t kKept = 2000;  // thumbnails in memory, of about 4 kB each
constexpr int kSide = 160;           // pixels

DatasetReader open_features(const std::string& uri) {
  const Store store = Store::open(uri);
  const bool results = !store.exists("_SUCCESS") && store.exists("features/_SUCCESS");
  return DatasetReader::open(results ? store.at("features") : store);
}

// The length of the folders that all paths begin with: where photos lie on this machine is nobody's business.
std::size_t common_folder(const std::vector<std::string>& paths) {
  if (paths.empty()) return 0;
  std::size_t length = paths.front().rfind('/') + 1;
  for (const std::string& path : paths) {
    while (length > 0 && path.compare(0, length, paths.front(), 0, length) != 0) {
      length = length < 2 ? 0 : paths.front().rfind('/', length - 2) + 1;
    }
  }
  return length;
}

}  // namespace

struct SimilarIndex::Impl {
  std::size_t d = 0;
  std::string identity;
  std::vector<float> vectors;
  std::vector<std::string> paths;
  std::vector<std::optional<std::string>> labels;
  std::size_t prefix = 0;
  bool thumbnails = false;

  mutable std::mutex mutex;                                                              // guards the cache
  mutable std::list<std::pair<std::uint64_t, std::shared_ptr<const std::string>>> kept;  // last used first
  mutable std::map<std::uint64_t, decltype(kept)::iterator> by_row;
};

SimilarIndex::SimilarIndex(const std::string& uri, const Fingerprint& fingerprint,
                           const std::function<void(const std::string&)>& warn)
    : impl_(std::make_unique<Impl>()) {
  const DatasetReader dataset = open_features(uri);
  if (dataset.schema().vector_column != "features") {
    throw Error(ErrorCode::kUsage, uri + " holds components: name the dataset of features they came from");
  }
  const nlohmann::json& run = dataset.run();
  if (!run.is_object() || !run.contains("fingerprint")) {
    throw Error(
        ErrorCode::kUsage,
        uri +
            " does not say which network made its features (no _run.json): make it with `pomona featurize`");
  }
  if (const auto warning =
          require_same(fingerprint, "the model", fingerprint_from_json(run["fingerprint"]), uri, false)) {
    warn(*warning);
  }
  impl_->identity = fingerprint.identity_hash();
  impl_->d = static_cast<std::size_t>(dataset.schema().d);
  impl_->vectors.reserve(dataset.rows() * impl_->d);
  dataset.read(true, [&](Block&& block) {
    impl_->vectors.insert(impl_->vectors.end(), block.vectors.begin(), block.vectors.end());
    for (RowInfo& row : block.rows) {
      impl_->paths.push_back(std::move(row.path));
      impl_->labels.push_back(std::move(row.label));
    }
    return true;
  });
  if (impl_->paths.empty()) throw Error(ErrorCode::kNotFound, uri + " has no rows: nothing can be similar");
  impl_->prefix = common_folder(impl_->paths);
  impl_->thumbnails = true;
  impl_->thumbnails = thumbnail(0) != nullptr;
  if (!impl_->thumbnails) {
    warn("the photos of " + uri + " cannot be read here (the first is " + impl_->paths.front() +
         "): similar photos come without thumbnails");
  }
}

SimilarIndex::~SimilarIndex() = default;

std::size_t SimilarIndex::rows() const {
  return impl_->paths.size();
}
std::size_t SimilarIndex::dimension() const {
  return impl_->d;
}
const std::string& SimilarIndex::identity() const {
  return impl_->identity;
}
bool SimilarIndex::has_thumbnails() const {
  return impl_->thumbnails;
}

std::vector<SimilarRow> SimilarIndex::nearest(std::span<const float> query, std::size_t n) const {
  std::vector<SimilarRow> found;
  for (const Neighbour& row : nearest_rows(impl_->vectors, query, n, cpu_budget())) {
    found.push_back(
        {row.id, impl_->paths[row.id].substr(impl_->prefix), impl_->labels[row.id], row.similarity});
  }
  return found;
}

std::shared_ptr<const std::string> SimilarIndex::thumbnail(std::uint64_t row) const {
  if (row >= impl_->paths.size() || !impl_->thumbnails) return nullptr;
  {
    const std::lock_guard lock(impl_->mutex);
    if (const auto known = impl_->by_row.find(row); known != impl_->by_row.end()) {
      impl_->kept.splice(impl_->kept.begin(), impl_->kept, known->second);
      return known->second->second;
    }
  }
  ThumbnailOptions options;
  options.side = kSide;
  options.threads = 1;
  const auto made = make_thumbnails(std::span(&impl_->paths[row], 1), options);
  const auto& jpeg = made.front().jpeg;
  if (jpeg.empty()) return nullptr;
  auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->by_row.contains(row)) {
    impl_->kept.emplace_front(row, bytes);
    impl_->by_row[row] = impl_->kept.begin();
    if (impl_->kept.size() > kKept) {
      impl_->by_row.erase(impl_->kept.back().first);
      impl_->kept.pop_back();
    }
  }
  return bytes;
}

}  // namespace pomona::server
