// SPDX-License-Identifier: Apache-2.0
#include "bindings.h"

NB_MODULE(_core, module) {
  module.doc() = "The C++ engine behind the package `pomona`; use that.";
  module.attr("__version__") = POMONA_VERSION;
  pomona::python::bind_errors(module);
  pomona::python::bind_arrow(module);
  pomona::python::bind_featurizer(module);
  pomona::python::bind_distributed(module);
  pomona::python::bind_pca(module);
  pomona::python::bind_model(module);
  pomona::python::bind_dataset(module);
}
