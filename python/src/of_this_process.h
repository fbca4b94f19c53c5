// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

#include "pomona/pipeline/featurize_batch.h"

namespace pomona::python {

// A BatchFeaturizer made of `arguments` that a forked child leaves alone: its threads stay with the parent,
// and ending it would wait for them for ever.
template <typename... Arguments>
std::shared_ptr<BatchFeaturizer> of_this_process(Arguments&&... arguments) {
  auto made = std::make_unique<BatchFeaturizer>(std::forward<Arguments>(arguments)...);
  return {made.release(), [owner = getpid()](BatchFeaturizer* featurizer) {
            if (getpid() == owner) delete featurizer;
          }};
}

}  // namespace pomona::python
