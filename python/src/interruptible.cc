// SPDX-License-Identifier: Apache-2.0
#include "interruptible.h"

#include <nanobind/nanobind.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace nb = nanobind;

namespace pomona::python {

void run_interruptible(const std::function<void(std::stop_token)>& job) {
  std::mutex mutex;
  std::condition_variable ended;
  bool over = false;
  std::exception_ptr failure;
  std::stop_source stop;
  bool interrupted = false;
  {
    const nb::gil_scoped_release release;
    std::jthread thread([&] {
      try {
        job(stop.get_token());
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      over = true;
      ended.notify_one();
    });
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, std::chrono::milliseconds(100), [&] { return over; })) {
      if (interrupted) continue;
      lock.unlock();
      {
        const nb::gil_scoped_acquire acquire;
        interrupted = PyErr_CheckSignals() != 0;
        // The exception waits in the thread state until the job has ended.
      }
      if (interrupted) stop.request_stop();
      lock.lock();
    }
  }
  if (interrupted) throw nb::python_error();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace pomona::python
