// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace pomona {

// What makes two feature vectors comparable; stands in every dataset, PCA and model file.
// Identity: network bytes, layer, pool, input size, resize kernel, fit, EXIF and JPEG-scale policy,
// preprocessing. Precision: f32, bf16 or int8, as resolved on the machine, never "auto".
struct Fingerprint {
  nlohmann::json identity;  // the fields, spelled out, so that a mismatch can be explained
  std::string precision;

  // SHA-256 of the identity's canonical JSON (keys sorted, no spaces).
  std::string identity_hash() const;
};

nlohmann::json to_json(const Fingerprint& fingerprint);
Fingerprint fingerprint_from_json(const nlohmann::json& json);  // Throws Error{kFormat}.

// Throws Error{kMismatch} with the differing fields of both spelled out where the identities differ
// (`ours` and `theirs` name the two in the message). Where only the precision differs: throws if `strict`,
// else returns the sentence to warn with.
std::optional<std::string> require_same(const Fingerprint& a, std::string_view ours, const Fingerprint& b,
                                        std::string_view theirs, bool strict);

}  // namespace pomona
