// SPDX-License-Identifier: Apache-2.0
#include <arrow/filesystem/azurefs.h>
#include <arrow/io/interfaces.h>

#include <algorithm>
#include <map>

#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/aws_settings_internal.h"
#include "pomona/storage/remote_connect_internal.h"
#include "pomona/storage/uri_options_internal.h"

namespace pomona {
namespace {

// "Name=value;Name=value", values with '=' in them.
std::map<std::string, std::string> parse_connection_string(std::string_view text) {
  std::map<std::string, std::string> values;
  while (!text.empty()) {
    const auto end = std::min(text.find(';'), text.size());
    const std::string_view pair = text.substr(0, end);
    const auto equals = std::min(pair.find('='), pair.size());
    values[std::string(pair.substr(0, equals))] = pair.substr(std::min(equals + 1, pair.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

std::string first_of(std::initializer_list<std::string> values) {
  for (const std::string& value : values) {
    if (!value.empty()) return value;
  }
  return "";
}

}  // namespace

RemoteLocation connect_azure(const RemoteUri& uri, const std::string& what,
                             const arrow::io::IOContext* context) {
  const Environment environment = process_environment();
  auto connection = parse_connection_string(environment("AZURE_STORAGE_CONNECTION_STRING"));
  const std::string account = first_of({environment("AZURE_STORAGE_ACCOUNT_NAME"),
                                        environment("AZURE_STORAGE_ACCOUNT"), connection["AccountName"]});
  const std::string key = first_of(
      {environment("AZURE_STORAGE_ACCOUNT_KEY"), environment("AZURE_STORAGE_KEY"), connection["AccountKey"]});
  const std::string sas =
      first_of({environment("AZURE_STORAGE_SAS_TOKEN"), connection["SharedAccessSignature"]});

  RemoteLocation location;
  location.uri = uri;
  UriOptions query(uri.options);
  std::string authority = uri.authority;
  if (authority.find(':') < authority.find('@') && authority.find('@') != std::string::npos) {
    throw Error(ErrorCode::kUsage,
                what +
                    ": an account's key does not belong into a URI, where others see it; set "
                    "AZURE_STORAGE_KEY (or AZURE_STORAGE_CONNECTION_STRING, "
                    "AZURE_STORAGE_SAS_TOKEN) in its place");
  }
  const bool container_alone = authority.find_first_of("@.:") == std::string::npos;
  if (container_alone) {
    if (account.empty()) {
      throw Error(ErrorCode::kUsage, what + ": which storage account? Write abfs://" + authority +
                                         "@ACCOUNT.dfs.core.windows.net/..., or set AZURE_STORAGE_ACCOUNT");
    }
    authority = account + "@" + authority;
    // "http://127.0.0.1:10000/account" or "https://account.blob.core.windows.net"
    std::string endpoint = connection["BlobEndpoint"];
    if (endpoint.starts_with("http://") && !query.has("enable_tls")) query.set("enable_tls", "false");
    if (const auto mark = endpoint.find("://"); mark != std::string::npos) {
      endpoint = endpoint.substr(mark + 3);
      endpoint.resize(std::min(endpoint.find('/'), endpoint.size()));
      // A host that begins with the account is Azure's own form, which follows from the account.
      if (!endpoint.starts_with(account + ".")) {
        query.set("blob_storage_authority", endpoint);
        query.set("dfs_storage_authority", endpoint);
      }
    }
  }
  auto options =
      take(arrow::fs::AzureOptions::FromUri("abfs://" + authority + query.query(), &location.root), what);
  // What the URI says goes before the environment.
  const bool said = query.has("credential_kind") || query.has("client_id") || query.has("sig");
  if (!said && !key.empty()) {
    check(options.ConfigureAccountKeyCredential(key), what + " with the account's key of the environment");
  } else if (!said && !sas.empty()) {
    check(options.ConfigureSASCredential(sas.starts_with('?') ? sas : "?" + sas),
          what + " with the SAS token of the environment");
  }
  location.filesystem = take(arrow::fs::AzureFileSystem::Make(
                                 options, context == nullptr ? arrow::io::default_io_context() : *context),
                             what);
  return location;
}

}  // namespace pomona
