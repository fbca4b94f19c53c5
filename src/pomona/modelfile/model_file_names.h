// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

// Internal to modelfile/: how tensors and metadata of a model file are called.
namespace pomona::names {

inline constexpr const char* kFeatures = "features";
inline constexpr const char* kReduced = "reduced";
inline constexpr const char* kDistance = "distance";

inline constexpr const char* kName = "pomona.name";
inline constexpr const char* kPca = "pomona.pca";
inline constexpr const char* kTargets = "pomona.targets";
inline constexpr const char* kUnknown = "pomona.unknown";
inline constexpr const char* kTraining = "pomona.training";
inline constexpr const char* kCard = "pomona.card";

inline constexpr const char* kPcaMean = "pomona/pca/mean";
inline constexpr const char* kPcaComponents = "pomona/pca/components";
inline constexpr const char* kUnknownMean = "pomona/unknown/mean";
inline constexpr const char* kUnknownWhitening = "pomona/unknown/whitening";
inline constexpr const char* kUnknownCentres = "pomona/unknown/centres";

inline std::string head(std::size_t target) {
  return "pomona/head" + std::to_string(target);
}
inline std::string weights(std::size_t target) {
  return head(target) + "/weights";
}
inline std::string bias(std::size_t target) {
  return head(target) + "/bias";
}
// Outputs of target number `target`, called `name`.
inline std::string probabilities(std::size_t target, const std::string& name) {
  return target == 0 ? "probabilities" : "probabilities_" + name;
}
inline std::string label(std::size_t target, const std::string& name) {
  return target == 0 ? "label" : "label_" + name;
}

}  // namespace pomona::names
