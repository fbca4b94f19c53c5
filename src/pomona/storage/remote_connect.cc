// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/remote_connect_internal.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>

#include "pomona/base/text.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/aws_settings_internal.h"
#include "pomona/storage/uri_options_internal.h"

namespace pomona {
namespace {

RemoteLocation connect_gcs(const RemoteUri& uri, const std::string& what, const arrow::io::IOContext& io) {
  RemoteLocation location;
  location.uri = uri;
  UriOptions query(uri.options);
  std::string authority = uri.authority;
  // What Google's own clients of other languages look at for a server of one's own.
  const std::string emulator = process_environment()("STORAGE_EMULATOR_HOST");
  if (!emulator.empty() && !query.has("endpoint_override")) {
    const auto mark = emulator.find("://");
    query.set("scheme", mark == std::string::npos ? "http" : emulator.substr(0, mark));
    query.set("endpoint_override", mark == std::string::npos ? emulator : emulator.substr(mark + 3));
    if (authority.find('@') == std::string::npos) authority = "anonymous@" + authority;
  }
  // Google's client would try again for a quarter of an hour.
  if (!query.has("retry_limit_seconds")) query.set("retry_limit_seconds", "30");
  location.filesystem =
      take(arrow::fs::FileSystemFromUri("gs://" + authority + query.query(), io, &location.root), what);
  return location;
}

RemoteLocation connect_hdfs(const RemoteUri& uri, const std::string& what, const arrow::io::IOContext& io) {
  RemoteLocation location;
  location.uri = uri;
  const std::string root = uri.scheme + "://" + uri.authority + UriOptions(uri.options).query();
  auto filesystem = arrow::fs::FileSystemFromUri(root, io, &location.root);
  if (!filesystem.ok()) {
    const std::string text = filesystem.status().message();
    if (text.find("libjvm") != std::string::npos) {
      throw Error(
          ErrorCode::kUnavailable,
          what +
              ": HDFS is reached through Java, and no libjvm.so was found. Install a Java runtime (Debian: "
              "openjdk-17-jre-headless) and set JAVA_HOME to its folder, /usr/lib/jvm/...");
    }
    if (text.find("libhdfs") != std::string::npos) {
      throw Error(ErrorCode::kUnavailable,
                  what +
                      ": HDFS is reached through Hadoop's libhdfs.so, which was not found. Unpack a Hadoop "
                      "distribution and set HADOOP_HOME to it (or ARROW_LIBHDFS_DIR to the folder with "
                      "libhdfs.so), and CLASSPATH to what `hadoop classpath --glob` prints");
    }
    if (filesystem.status().IsIOError()) {
      throw Error(ErrorCode::kIo,
                  what + ": " + cause_of(filesystem.status()) +
                      ". Does the name node answer there, and is CLASSPATH what `hadoop classpath "
                      "--glob` prints?");
    }
  }
  location.filesystem = take(std::move(filesystem), what);
  // Without it a path would be one below the user's own folder.
  if (location.root.empty()) location.root = "/";
  return location;
}

}  // namespace

bool is_gcs(const RemoteUri& uri) {
  return uri.scheme == "gs" || uri.scheme == "gcs";
}

RemoteLocation connect(const RemoteUri& uri, const arrow::io::IOContext* context) {
  RemoteLocation location;
  const std::string shown = escape_path(join(uri.scheme + "://" + shown_authority(uri), uri.key));
  const std::string what = "cannot open " + shown;
  const bool hdfs = uri.scheme == "hdfs" || uri.scheme == "viewfs";
  if (uri.scheme != "s3" && !is_gcs(uri) && uri.scheme != "abfs" && !hdfs) {
    throw Error(ErrorCode::kUsage,
                what + ": '" + uri.scheme +
                    "' is not a store we know. Known are s3, gs, abfs, hdfs and local paths; a "
                    "local path of that look is written ./" +
                    uri.scheme + "://...");
  }
  const auto io = context == nullptr ? arrow::io::default_io_context() : *context;
  try {
    if (uri.scheme == "s3") {
      location = connect_s3(uri, what, context);
    } else if (uri.scheme == "abfs") {
      location = connect_azure(uri, what, context);
    } else {
      location = hdfs ? connect_hdfs(uri, what, io) : connect_gcs(uri, what, io);
    }
  } catch (const Error& error) {
    // A URI that Arrow cannot make sense of is wrong use.
    if (error.code() == ErrorCode::kFormat) throw Error(ErrorCode::kUsage, error.what());
    throw;
  }
  while (location.root.ends_with('/') && location.root.size() > 1) location.root.pop_back();
  location.root = join(location.root, uri.key);
  return location;
}

}  // namespace pomona
