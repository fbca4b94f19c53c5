// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

// One function per source: what it adds to the module `pomona._core`.
namespace pomona::python {

void bind_errors(nanobind::module_& module);  // pomona.Error and its kinds; must come first
void bind_arrow(nanobind::module_& module);
void bind_featurizer(nanobind::module_& module);
void bind_distributed(nanobind::module_& module);
void bind_pca(nanobind::module_& module);
void bind_model(nanobind::module_& module);
void bind_dataset(nanobind::module_& module);

}  // namespace pomona::python
