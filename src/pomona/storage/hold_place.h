// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "pomona/storage/dataset.h"

namespace pomona {

// Holds the local folder `place`, which is made where it is not there, until what it gives is gone: two runs
// at once are refused. Nothing is left in the folder, and who is killed holds nothing. Null where the folder
// cannot be held: object stores, file systems without flock; there require_running() tells the later of two
// runs. Throws Error{kExists}: another process holds it; Error{kIo | kPermission}.
std::shared_ptr<const void> hold_place(const Store& place);

// Throws Error{kExists} where another run at `dest` has ended since begin_run(), and took ours away. `part`
// (null = none), which was published just now, goes then too.
void require_running(const Store& dest, const std::string& run_id, const PartRecord* part);

}  // namespace pomona
