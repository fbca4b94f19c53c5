// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/csv_file.h"

#include <arrow/io/interfaces.h>
#include <algorithm>

#include "pomona/storage/dataset_internal.h"
#include "pomona/storage/store.h"

namespace pomona {

void write_csv_file(const DatasetReader& dataset, const std::string& uri) {
  const auto slash = uri.rfind('/');
  const Store folder =
      Store::open(slash == std::string::npos ? "." : uri.substr(0, std::max<std::size_t>(slash, 1)));
  const std::string name = slash == std::string::npos ? uri : uri.substr(slash + 1);
  // An object store shows an object when it is whole; a disk needs a name for the meantime.
  const std::string temporary = folder.appears_when_closed() ? name : "_" + name + ".unfinished";
  try {
    const auto writer = make_csv_writer(folder.create(temporary), dataset.schema());
    dataset.read(true, [&](Block&& block) {
      writer->write(block);
      return true;
    });
    writer->close();
    if (temporary != name) folder.rename(temporary, name);
  } catch (...) {
    if (temporary != name) folder.remove(temporary);
    throw;
  }
}

}  // namespace pomona
