// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/rights.h"

#include <filesystem>
#include <optional>
#include <random>

#include "pomona/base/error.h"
#include "pomona/base/text.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/reader.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_internal.h"

namespace pomona {
namespace {

// What the policies of a kind of store call listing, reading, writing, deleting.
struct Names {
  const char *list, *read, *write, *remove;
};

Names names_for(const std::string& uri) {
  const std::string scheme = is_remote_uri(uri) ? parse_remote(uri, true).scheme : "";
  if (scheme == "s3") return {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"};
  if (scheme == "gs" || scheme == "gcs") {
    return {"storage.objects.list", "storage.objects.get", "storage.objects.create",
            "storage.objects.delete"};
  }
  if (scheme == "abfs") {
    return {"Storage Blob Data Reader", "Storage Blob Data Reader", "Storage Blob Data Contributor",
            "Storage Blob Data Contributor"};
  }
  return {"read (r-x) on the folder", "read (r) on its files", "write (-wx) on the folder",
          "write (-wx) on the folder"};
}

// Runs `act`, which returns what happened; an Error is a right not granted.
template <typename Act>
RightFinding attempt(const char* action, const char* right, Act act) {
  RightFinding finding{action, right, false, true, ""};
  try {
    finding.detail = act();
    finding.granted = true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUsage || error.code() == ErrorCode::kInternal) throw;
    finding.detail = error.what();
  }
  return finding;
}

// The folder that stands above `folder`, which does not; empty where it stands.
std::string standing_above(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::status(folder, error).type() != std::filesystem::file_type::not_found) return {};
  std::filesystem::path above = std::filesystem::absolute(folder).lexically_normal();
  while (above.has_relative_path() &&
         std::filesystem::status(above, error).type() == std::filesystem::file_type::not_found) {
    above = above.parent_path();
  }
  return above.string();
}

}  // namespace

std::vector<RightFinding> examine_rights(const std::string& uri, bool write) {
  const Names names = names_for(uri);
  std::vector<RightFinding> findings;
  std::vector<Entry> first;
  bool nothing = false;  // there yet: for a DEST no failure
  // A local DEST is made when it is written to; what is tried must not make it.
  const std::string above = write && !is_remote_uri(uri) ? standing_above(local_path(uri)) : "";
  findings.push_back(attempt("list", names.list, [&]() -> std::string {
    if (!above.empty()) return "it is not there yet";
    ListingOptions options;
    options.sources = {uri};
    options.limit = 1;
    try {
      list_photos(options, [&](Entry&& entry) {
        first.push_back(std::move(entry));
        return true;
      });
    } catch (const Error& error) {
      // Nothing below a prefix is no lack of a right; but a bucket must be there.
      const std::string text = error.what();
      if (error.code() != ErrorCode::kNotFound || text.find("nothing in it") == std::string::npos || !write)
        throw;
      nothing = true;
    }
    if (first.empty()) return nothing ? "nothing is there yet" : "no photo is there";
    return "the first photo is " + escape_path(first.front().path);
  }));
  const bool refused = !findings.front().granted &&
                       findings.front().detail.find("lack the right") == std::string::npos &&
                       findings.front().detail.find("permission") == std::string::npos;
  if (refused) return findings;  // a wrong key, no bucket, no network: the same for all that follows

  if (!first.empty()) {
    findings.push_back(attempt("read", names.read, [&] {
      std::vector<std::byte> bytes;
      if (const auto outcome = PhotoReader().read(first.front(), bytes); !outcome) {
        throw Error(ErrorCode::kPermission, outcome.error().reason);
      }
      return std::to_string(bytes.size()) + " bytes of it were read";
    }));
  } else if (!write) {
    findings.push_back({"read", names.read, false, false, "there was no photo to try it on"});
  }
  if (!write) return findings;

  const std::string probe = ".pomona-doctor-" + std::to_string(std::random_device{}());
  const std::string text = "pomona doctor\n";
  std::optional<Store> store;
  findings.push_back(attempt("write", names.write, [&] {
    store = Store::open(above.empty() ? uri : above);
    store->write(probe, text);
    return above.empty() ? "wrote " + probe : "it will be made: wrote " + probe + " in " + escape_path(above);
  }));
  if (!findings.back().granted) {
    findings.push_back({"delete", names.remove, false, false, "there was nothing to try it on"});
    return findings;
  }
  if (first.empty()) {
    findings.push_back(attempt("read", names.read, [&]() -> std::string {
      if (store->read(probe) != text) throw Error(ErrorCode::kIo, "what was read is not what was written");
      return "read it back";
    }));
  }
  findings.push_back(attempt("delete", names.remove, [&]() -> std::string {
    store->remove(probe);
    return "removed it";
  }));
  if (!findings.back().granted) findings.back().detail += "; " + probe + " is still there";
  return findings;
}

}  // namespace pomona
