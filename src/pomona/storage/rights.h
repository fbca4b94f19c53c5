// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace pomona {

// One right on a folder or prefix, tried for real.
struct RightFinding {
  std::string action;  // list | read | write | delete
  std::string right;   // what the store's own policies call it: s3:ListBucket, storage.objects.list, ...
  bool granted = false;
  bool tried = true;   // false where there was nothing to try it on
  std::string detail;  // what happened, or why not
};

// Tries what a SOURCE (`write` off) or a DEST needs at `uri`: lists to the first photo and reads it; writes,
// reads and removes a small hidden object. Nothing but that object is written; a local DEST that is not there
// is not made, the folder that it would be made in is tried. Throws Error{kUsage} for a URI that is none;
// where the store cannot be reached at all the error stands in the finding of `list`, and it is the only one.
std::vector<RightFinding> examine_rights(const std::string& uri, bool write);

}  // namespace pomona
