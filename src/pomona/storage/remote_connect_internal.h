// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pomona/base/error.h"
#include "pomona/storage/store_internal.h"

namespace arrow {
class Status;
}
namespace arrow::io {
struct IOContext;
}

namespace pomona {

bool is_gcs(const RemoteUri& uri);

// Connects to the filesystem `uri` points into. With `context` its background work runs there, else on
// Arrow's own I/O threads. Throws Error{kUsage | kUnavailable | kNotFound | kPermission | kIo}.
RemoteLocation connect(const RemoteUri& uri, const arrow::io::IOContext* context);

// The same for one kind of store each, without the path of the key. `what` begins the message of an error.
RemoteLocation connect_s3(const RemoteUri& uri, const std::string& what, const arrow::io::IOContext* context);
RemoteLocation connect_azure(const RemoteUri& uri, const std::string& what,
                             const arrow::io::IOContext* context);

// As to_error(), but where the store's answer leaves the cause open (an answer to HEAD has no body), asks it
// once more. For a few errors of a job, not for each photo.
Error remote_error(const RemoteLocation& location, const arrow::Status& status, const std::string& what);

}  // namespace pomona
