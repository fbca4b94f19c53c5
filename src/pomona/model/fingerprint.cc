// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/fingerprint.h"

#include <vector>

#include "pomona/base/error.h"
#include "pomona/base/hash.h"

namespace pomona {
namespace {

using nlohmann::json;

std::string spelled(const json& identity, const std::string& field) {
  const auto found = identity.find(field);
  if (found == identity.end()) return "not stated";
  return found->dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string Fingerprint::identity_hash() const {
  return sha256_hex(identity.dump(-1, ' ', false, json::error_handler_t::replace));
}

json to_json(const Fingerprint& fingerprint) {
  return {{"identity", fingerprint.identity},
          {"identity_hash", fingerprint.identity_hash()},
          {"precision", fingerprint.precision}};
}

Fingerprint fingerprint_from_json(const json& object) {
  if (!object.is_object() || !object.contains("identity") || !object["identity"].is_object() ||
      !object.contains("precision") || !object["precision"].is_string()) {
    throw Error(ErrorCode::kFormat,
                "not a fingerprint: it must hold `identity` (fields) and `precision` (text)");
  }
  Fingerprint fingerprint{object["identity"], object["precision"].get<std::string>()};
  if (fingerprint.precision != "f32" && fingerprint.precision != "bf16" && fingerprint.precision != "int8") {
    throw Error(ErrorCode::kFormat, "not a fingerprint: `precision` is `" + fingerprint.precision +
                                        "`, neither f32 nor bf16 nor int8");
  }
  if (object.contains("identity_hash") && object["identity_hash"] != fingerprint.identity_hash()) {
    throw Error(ErrorCode::kFormat,
                "damaged fingerprint: its fields do not give the hash that stands beside them");
  }
  return fingerprint;
}

std::optional<std::string> require_same(const Fingerprint& a, std::string_view ours, const Fingerprint& b,
                                        std::string_view theirs, bool strict) {
  const std::string first(ours);
  const std::string second(theirs);
  std::string differing;
  const auto compare = [&](const std::string& field) {
    if (spelled(a.identity, field) == spelled(b.identity, field)) return;
    differing += "\n  " + field + ": " + spelled(a.identity, field) + " in " + first + ", " +
                 spelled(b.identity, field) + " in " + second;
  };
  for (const auto& item : a.identity.items()) compare(item.key());
  for (const auto& item : b.identity.items()) {
    if (!a.identity.contains(item.key())) compare(item.key());
  }
  if (!differing.empty()) {
    throw Error(ErrorCode::kMismatch, "the vectors of " + first + " and " + second +
                                          " were not made the same way and must not be mixed:" + differing +
                                          "\nMake one of them again with the options of the other.");
  }
  if (a.precision == b.precision) return std::nullopt;
  std::string sentence = first + " was computed in " + a.precision + ", " + second + " in " + b.precision +
                         ": vectors differ slightly (cosine about 0.98 to 0.999)";
  if (strict) throw Error(ErrorCode::kMismatch, sentence + "; give --precision so that they agree");
  return sentence;
}

}  // namespace pomona
