// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/random_bytes.h"

#include <sys/random.h>

#include <cerrno>

#include "pomona/base/error.h"
#include "pomona/base/system_error.h"

namespace pomona {

std::vector<unsigned char> random_bytes(std::size_t count) {
  std::vector<unsigned char> bytes(count);
  for (std::size_t done = 0; done < count;) {
    const ssize_t got = getrandom(bytes.data() + done, count - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw Error(ErrorCode::kInternal, "no random numbers from the system: " + system_reason(errno));
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace pomona
