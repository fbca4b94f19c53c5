// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/download.h"
#include "pomona/base/error.h"
#include "pomona/model/registry.h"

namespace pomona {

ModelCard pull_model(const std::string& name, const Hooks& hooks) {
  ModelCard card = find_model(name);
  if (card.installed) return card;
  if (card.url.empty()) {
    throw Error(ErrorCode::kUnavailable,
                "the network " + name + " is not downloaded: `make build` makes " + card.file.string());
  }
  DownloadOptions options;
  options.sha256 = card.sha256;
  options.bytes = card.bytes;
  download(card.url, card.file, options, hooks);
  return find_model(name);
}

}  // namespace pomona
