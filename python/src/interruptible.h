// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <stop_token>

namespace pomona::python {

// Runs `job` on a thread of its own with the GIL released, and waits. Ctrl-C (any signal whose handler
// raises) asks the job to stop; when it has ended, Python's exception goes on, as the job's own does
// otherwise. Call with the GIL held; a `job` that calls Python must take the GIL itself.
void run_interruptible(const std::function<void(std::stop_token)>& job);

}  // namespace pomona::python
