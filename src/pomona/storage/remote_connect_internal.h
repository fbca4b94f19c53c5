// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pomona/storage/store_internal.h"

namespace arrow::io {
struct IOContext;
}

namespace pomona {

bool is_gcs(const RemoteUri& uri);

// Connects to the filesystem `uri` points into. With `context` its background work runs there, else on
// Arrow's own I/O threads. Throws Error{kUsage | kUnavailable | kNotFound | kPermission | kIo}.
RemoteLocation connect(const RemoteUri& uri, const arrow::io::IOContext* context);

}  // namespace pomona
