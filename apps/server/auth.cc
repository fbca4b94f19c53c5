// SPDX-License-Identifier: Apache-2.0
#include "auth.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "message.h"
#include "pomona/base/error.h"
#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/base/random_bytes.h"

namespace pomona::server {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kLongestName = 64;
constexpr std::string_view kPrefix = "pomona_";  // so that scanners for leaked secrets can know one
constexpr std::pair<std::string_view, Scope> kScopes[] = {
    {"classify", kClassify}, {"contribute", kContribute}, {"admin", kAdmin}};

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  for (;;) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return found;
    const std::size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
    found.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

}  // namespace

Scopes parse_scopes(std::string_view text) {
  Scopes scopes = kNobody;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    const auto* known = std::ranges::find(kScopes, word, &std::pair<std::string_view, Scope>::first);
    if (known == std::end(kScopes)) {
      throw Error(ErrorCode::kUsage, fmt::format("unknown scope `{}`: give classify, contribute or admin, or "
                                                 "several with commas between",
                                                 word));
    }
    scopes |= known->second;
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return scopes;
}

std::string scopes_text(Scopes scopes) {
  std::string text;
  for (const auto& [name, scope] : kScopes) {
    if ((scopes & scope) != 0) text += (text.empty() ? "" : ",") + std::string(name);
  }
  return text;
}

TokenFile TokenFile::read(const std::filesystem::path& file) {
  return parse(read_file(file), file.string());
}

TokenFile TokenFile::parse(std::string_view text, const std::string& name) {
  TokenFile tokens;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const auto found = words(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (found.empty() || found[0].front() == '#') continue;
    const auto hex = [](unsigned char c) { return std::isdigit(c) || (c >= 'a' && c <= 'f'); };
    if (found.size() != 4 || !good_name(found[0]) || found[2].size() != 64 ||
        !std::ranges::all_of(found[2], hex)) {
      throw Error(ErrorCode::kFormat,
                  fmt::format("{}, line {}: not a token. `pomona tokens` writes this file.", name, number));
    }
    const Scopes scopes = parse_scopes(found[1]);
    tokens.by_hash_[std::string(found[2])] = tokens.tokens_.size();
    tokens.tokens_.push_back({std::string(found[0]), scopes, std::string(found[2]), std::string(found[3])});
  }
  return tokens;
}

std::string TokenFile::add(const std::string& name, Scopes scopes) {
  if (!good_name(name)) {
    throw Error(ErrorCode::kUsage, "`" + name +
                                       "` cannot be a token's name: give up to 64 letters, digits, "
                                       "dots, dashes and underscores");
  }
  if (scopes == kNobody)
    throw Error(ErrorCode::kUsage, "a token needs a scope: classify, contribute or admin");
  if (std::ranges::find(tokens_, name, &TokenRecord::name) != tokens_.end()) {
    throw Error(ErrorCode::kExists, "there is a token named " + name + ": remove it, or give another name");
  }
  const std::vector<unsigned char> random = random_bytes(kTokenBytes);
  const std::string secret(random.begin(), random.end());
  const std::string token = std::string(kPrefix) + base64url(secret);
  tokens_.push_back({name, scopes, sha256_hex(token), today()});
  by_hash_[tokens_.back().sha256] = tokens_.size() - 1;
  return token;
}

bool TokenFile::remove(const std::string& name) {
  if (std::erase_if(tokens_, [&](const TokenRecord& token) { return token.name == name; }) == 0) return false;
  by_hash_.clear();
  for (std::size_t i = 0; i < tokens_.size(); ++i) by_hash_[tokens_[i].sha256] = i;
  return true;
}

void TokenFile::write(const std::filesystem::path& file) const {
  std::string text = "# API tokens of `pomona serve`: name, scopes, SHA-256 of the token, day it was made.\n";
  for (const TokenRecord& token : tokens_) {
    text += fmt::format("{} {} {} {}\n", token.name, scopes_text(token.scopes), token.sha256, token.created);
  }
  struct stat old{};
  const bool there = ::stat(file.c_str(), &old) == 0;
  // What the process makes from here on is for its owner only; hashes are no secrets, but nobody else's
  // either.
  const mode_t before = umask(0077);
  try {
    write_file_atomically(file, text);
  } catch (...) {
    umask(before);
    throw;
  }
  umask(before);
  // A server that runs as somebody else was given the right to read it, and keeps that.
  if (there && ::chown(file.c_str(), old.st_uid, old.st_gid) == 0) ::chmod(file.c_str(), old.st_mode & 0777);
}

const TokenRecord* TokenFile::find(std::string_view token) const {
  // Looked up by hash: how far a wrong guess agrees tells nothing about the token.
  const auto found = by_hash_.find(sha256_hex(token));
  return found == by_hash_.end() ? nullptr : &tokens_[found->second];
}

std::optional<std::string_view> bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(authorization[i])) != kScheme[i]) return std::nullopt;
  }
  authorization.remove_prefix(kScheme.size());
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  return authorization;
}

}  // namespace pomona::server
