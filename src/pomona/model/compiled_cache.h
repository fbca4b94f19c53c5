// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <openvino/runtime/compiled_model.hpp>

namespace ov {
class Core;
}

namespace pomona {

// Internal to model/: compiled networks under cache_home(), so that a short-lived process need neither read
// nor compile the network. OpenVINO's own cache is keyed by the network as read, which takes most of the
// time.

// A network and what it was compiled for: its files' SHA-256, batch, streams, precision; version of OpenVINO
// and CPU are added here. Whoever can write below cache_home() can run what they like: it is the user's own.
std::string compiled_key(nlohmann::json what);

struct CachedNetwork {
  ov::CompiledModel compiled;
  nlohmann::json note;  // as given to save_compiled()
};

// None where there is none, or it is damaged.
std::optional<CachedNetwork> load_compiled(ov::Core& core, const std::string& key, const ov::AnyMap& config);

// Keeps it; does nothing where the disk is full or the folder cannot be written. Old ones beyond a dozen go.
void save_compiled(const std::string& key, const ov::CompiledModel& compiled, const nlohmann::json& note);

}  // namespace pomona
