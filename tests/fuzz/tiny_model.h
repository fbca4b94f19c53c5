// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pomona/modelfile/model_file.h"

namespace pomona::fuzz {

// A whole model around tests' tiny network (8 features, photos of 16 x 16): PCA of 3 components, a linear
// head on components, a forest on features, and a detector of unknown photos. Compiles the network.
ModelFile tiny_model();

}  // namespace pomona::fuzz
