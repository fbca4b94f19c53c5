// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/deletion_code.h"

#include <openssl/crypto.h>

#include "pomona/base/hash.h"
#include "pomona/base/random_bytes.h"

namespace pomona {
namespace {

// Crockford's alphabet: no I, L, O or U.
constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kSymbols = 32;  // of 5 bits: 160 bits
constexpr std::size_t kGroup = 4;

}  // namespace

std::string new_deletion_code() {
  std::string code;
  std::size_t symbols = 0;
  for (const unsigned char byte : random_bytes(kSymbols)) {
    if (symbols > 0 && symbols % kGroup == 0) code += '-';
    code += kDigits[byte & 31];  // 32 divides 256: every digit is as likely
    ++symbols;
  }
  return code;
}

std::optional<std::string> hash_of_code(std::string_view code) {
  std::string plain;
  for (const char typed : code) {
    char digit = typed >= 'a' && typed <= 'z' ? static_cast<char>(typed - 'a' + 'A') : typed;
    if (digit == '-' || digit == ' ' || digit == '\t' || digit == '\n' || digit == '\r') continue;
    if (digit == 'O') digit = '0';
    if (digit == 'I' || digit == 'L') digit = '1';
    if (kDigits.find(digit) == std::string_view::npos || plain.size() == kSymbols) return std::nullopt;
    plain += digit;
  }
  if (plain.size() != kSymbols) return std::nullopt;
  return sha256_hex(plain);
}

bool same_hash(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace pomona
