// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/thumbnails.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

#include "pomona/base/cpu.h"
#include "pomona/image/decode.h"
#include "pomona/image/encode.h"
#include "pomona/image/resize.h"
#include "pomona/storage/reader.h"

namespace pomona {
namespace {

// One thread's tools; they keep their buffers.
struct Workshop {
  Decoder decoder;
  Resizer resizer;
  std::vector<std::byte> bytes;
  Image photo;
  Image small;
};

void make_one(const PhotoReader& reader, const ThumbnailOptions& options, Workshop& shop,
              Thumbnail& thumbnail) {
  Entry entry;
  entry.path = thumbnail.path;
  if (!reader.read(entry, shop.bytes)) return;
  DecodeOptions decode;
  decode.target_width = decode.target_height = options.side;
  if (!shop.decoder.decode(shop.bytes, decode, shop.photo)) return;
  const double scale =
      std::min(1.0, static_cast<double>(options.side) / std::max(shop.photo.width, shop.photo.height));
  shop.small.reset(std::max(1, static_cast<int>(std::lround(shop.photo.width * scale))),
                   std::max(1, static_cast<int>(std::lround(shop.photo.height * scale))));
  shop.resizer.resize(shop.photo, shop.small.width, shop.small.height, Kernel::kBicubic, Fit::kSquash,
                      shop.small.pixels);
  const std::vector<std::byte> jpeg = encode_jpeg(shop.small, options.quality);
  thumbnail.jpeg.assign(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
  thumbnail.width = shop.small.width;
  thumbnail.height = shop.small.height;
}

}  // namespace

std::vector<Thumbnail> make_thumbnails(std::span<const std::string> paths, const ThumbnailOptions& options,
                                       std::stop_token stop) {
  std::vector<Thumbnail> thumbnails(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) thumbnails[i].path = paths[i];
  const bool remote = std::ranges::any_of(paths, [](const std::string& path) { return is_remote_uri(path); });
  const int asked = options.threads > 0 ? options.threads : cpu_budget();
  const auto threads =
      std::min<std::size_t>(paths.size(), static_cast<std::size_t>(remote ? 4 * asked : asked));

  const PhotoReader reader;
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      Workshop shop;
      while (!stop.stop_requested()) {
        const std::size_t i = next.fetch_add(1);
        if (i >= thumbnails.size()) return;
        make_one(reader, options, shop, thumbnails[i]);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = thumbnails.size();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < threads; ++i) workers.emplace_back(work);
    if (threads > 0) work();
  }
  if (failure) std::rethrow_exception(failure);
  return thumbnails;
}

}  // namespace pomona
