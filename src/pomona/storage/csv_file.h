// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "pomona/storage/dataset.h"

namespace pomona {

// Writes all rows of a dataset, in order, as one CSV file at `uri`: whole or not at all.
// Throws Error{kIo | kPermission}.
void write_csv_file(const DatasetReader& dataset, const std::string& uri);

}  // namespace pomona
