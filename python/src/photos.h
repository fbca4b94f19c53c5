// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pomona/pipeline/featurize_batch.h"

namespace pomona::python {

// A local path or URI as people and Spark write it: `file:` URIs become local paths.
std::string location(std::string text);

// Photos as Python holds them, made ready for the engine without copying what can be shared. The objects must
// be let go with the GIL held, which is when this is destroyed on the calling thread.
class Photos {
 public:
  // `photos`: a sequence of str | os.PathLike (a local path or a URI), bytes-like (an encoded photo) or uint8
  // arrays of shape (height, width, 3 or 4) or (height, width). Throws TypeError that names the item.
  explicit Photos(nanobind::sequence photos);
  ~Photos();
  Photos(const Photos&) = delete;
  Photos& operator=(const Photos&) = delete;

  std::span<const PhotoSource> sources() const { return sources_; }
  // Pillow's images that Pillow cannot read: (position, why). Their source is an empty photo.
  const std::vector<std::pair<std::size_t, std::string>>& unusable() const { return unusable_; }

 private:
  void add(nanobind::handle photo);
  bool add_array(nanobind::handle photo);

  std::vector<PhotoSource> sources_;
  std::vector<std::pair<std::size_t, std::string>> unusable_;
  std::vector<nanobind::ndarray<const std::uint8_t, nanobind::c_contig, nanobind::device::cpu>> arrays_;
  std::vector<Py_buffer> buffers_;
};

}  // namespace pomona::python
