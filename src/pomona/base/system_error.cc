// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/system_error.h"

#include <cerrno>
#include <cstring>

namespace pomona {

std::string system_reason(int error) {
  std::string reason = std::strerror(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return reason + ": free some there or choose another place, then run again";
    case EFBIG:
      return reason + ": this file system or a limit (ulimit -f) allows no larger file; choose another place";
    case EIO:
    case ESTALE:
      return reason + ": check the disk or the network share (its messages are in dmesg), then run again";
    case EACCES:
    case EPERM:
      return reason + ": check owner and rights, there and of the folders above, or choose another place";
    case EROFS:
      return reason + ": choose another place, or mount it for writing";
    case EMFILE:
    case ENFILE:
      return reason + ": raise the limit (ulimit -n), or use fewer --threads";
    default:
      return reason;
  }
}

ErrorCode system_error_code(int error) {
  switch (error) {
    case ENOENT:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermission;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace pomona
