// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pomona/pipeline/training_data.h"

namespace pomona {

struct ComponentsNeededOptions {
  std::vector<int> ks = {};    // numbers of components to try; empty: about twelve, up to 256
  std::uint64_t seed = 1;      // of the photos held back where no split names any
  double validation = 0.2;     // share held back then
  std::size_t most = 200'000;  // photos looked at on each side, spread evenly
  int threads = 1;             // changes the time, not the result
};

// Share of the judged photos a head tells right from the first k components, by how they are stored:
// as float32; rounded to float16; as one byte each, in 255 steps from the least to the largest value that the
// component has in training. The head is trained on what was stored, too.
struct StoredComponents {
  int k = 0;
  double f32 = 0, f16 = 0, u8 = 0;  // 0..1
};

struct ComponentsNeeded {
  std::string target;
  std::string split;                     // judged on: "Test", "Validation", or "20 % held back"
  std::uint64_t trained = 0;             // photos the PCA and the heads saw
  std::uint64_t judged = 0;              // photos neither saw
  int d = 0;                             // numbers of a whole feature vector
  std::vector<StoredComponents> points;  // ascending in k
};

// How few components suffice to tell the classes of the first target, judged by LDA (from class moments: a
// head for each k and type takes milliseconds) on photos that neither the PCA nor the head saw: the Test
// split, else the Validation split, else photos held back by class and group as training does, copies of a
// photo together. Nothing where that cannot be said: fewer than two classes or two photos to train on, none
// to judge, vectors wider than 8,192. `data` holds features, or components, which are taken as they are.
// Throws Error{kCancelled}.
std::optional<ComponentsNeeded> components_needed(const LabelledVectors& data,
                                                  const ComponentsNeededOptions& options,
                                                  const std::stop_token& stop = {});

// Puts it into an evaluation's JSON: the list `components_needed` [{k, accuracy_f32, accuracy_f16,
// accuracy_u8, bytes_f32, bytes_f16, bytes_u8}] and how it was found, `components_needed_by`.
void add_to_json(const ComponentsNeeded& needed, nlohmann::json& evaluation);

}  // namespace pomona
