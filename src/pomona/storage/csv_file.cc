// SPDX-License-Identifier: Apache-2.0
#include "pomona/storage/csv_file.h"

#include <arrow/io/interfaces.h>
#include <algorithm>

#include "pomona/base/paths.h"
#include "pomona/storage/dataset_internal.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_internal.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {

void write_csv_file(const DatasetReader& dataset, const std::string& uri) {
  const FilePlace place = file_place(uri);
  const Store folder = Store::open(place.folder);
  const std::string& name = place.name;
  // An object store shows an object when it is whole; a disk needs a name for the meantime.
  const bool as_it_stands = folder.appears_when_closed() || is_stream(join(folder.uri(), name));
  const std::string temporary = as_it_stands ? name : "_" + name + ".unfinished";
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
