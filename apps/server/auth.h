// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pomona::server {

// What a token is good for; sets of them as bits.
enum Scope : std::uint8_t { kNobody = 0, kClassify = 1, kContribute = 2, kAdmin = 4 };
using Scopes = std::uint8_t;

Scopes parse_scopes(std::string_view text);  // "classify,contribute". Throws Error{kUsage}.
std::string scopes_text(Scopes scopes);

// An API token as the file keeps it: 256 random bits are only known to who was given them; what is kept is
// their SHA-256, from which they cannot be found (no salt or slow hash is needed for secrets that long).
struct TokenRecord {
  std::string name;
  Scopes scopes = kNobody;
  std::string sha256;   // lower-case hex
  std::string created;  // day, UTC
};

// The tokens of one file: lines of `name scopes sha256 created`. Value type.
class TokenFile {
 public:
  // Throws Error{kNotFound | kPermission | kIo | kFormat}; a damaged line is named by its number.
  static TokenFile read(const std::filesystem::path& file);
  static TokenFile parse(std::string_view text, const std::string& name);

  // Makes a token and returns it: the only time that it can be seen.
  // Throws Error{kUsage | kExists}: a name that is not letters, digits, . _ - or is there already.
  std::string add(const std::string& name, Scopes scopes);
  bool remove(const std::string& name);                 // false where there is none
  void write(const std::filesystem::path& file) const;  // whole or not at all; 0600 where it is new

  const std::vector<TokenRecord>& tokens() const { return tokens_; }

  // The token that was presented; nothing where it is not one of these.
  const TokenRecord* find(std::string_view token) const;

 private:
  std::vector<TokenRecord> tokens_;
  std::map<std::string, std::size_t> by_hash_;
};

// "Bearer abc" -> "abc"; nothing for another scheme.
std::optional<std::string_view> bearer(std::string_view authorization);

}  // namespace pomona::server
