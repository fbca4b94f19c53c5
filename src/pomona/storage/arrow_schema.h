// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "pomona/storage/dataset.h"

namespace arrow {
class Schema;
}

namespace pomona {

// A dataset's columns as Arrow names them, docs/dataset.md; without `vectors` those that describe the photos.
std::shared_ptr<arrow::Schema> arrow_schema(const Schema& schema, bool vectors = true);

}  // namespace pomona
