// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pomona/model/fingerprint.h"

namespace pomona::server {

struct SimilarRow {
  std::uint64_t row = 0;
  std::string path;
  std::optional<std::string> label;
  double similarity = 0;  // cosine
};

// The features of a dataset in memory, searched exactly. Thread-safe.
class SimilarIndex {
 public:
  // `uri`: features of photos, or a results folder of `pomona run`. Throws as DatasetReader does; kMismatch
  // where its features are not those of `fingerprint`; kUsage for a dataset of components. `warn` gets
  // sentences.
  SimilarIndex(const std::string& uri, const Fingerprint& fingerprint,
               const std::function<void(const std::string&)>& warn);
  ~SimilarIndex();

  std::size_t rows() const;
  std::size_t dimension() const;
  // Hash of the fingerprint of its features: those of another network are not comparable.
  const std::string& identity() const;
  // Whether the dataset's photos could be read at start-up, so that there are thumbnails.
  bool has_thumbnails() const;

  // The n rows nearest to one vector, best first. Throws Error{kFormat} where it is not finite.
  std::vector<SimilarRow> nearest(std::span<const float> query, std::size_t n) const;

  // A small JPEG without metadata of a row's photo; none where there is no such row or photo. The place is
  // the dataset's own record: nothing of a request but the row's number goes into it.
  std::shared_ptr<const std::string> thumbnail(std::uint64_t row) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pomona::server
