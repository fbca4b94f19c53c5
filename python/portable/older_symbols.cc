// SPDX-License-Identifier: Apache-2.0
// Part of portable builds only (POMONA_PORTABLE): takes functions by the versions that older systems have too.
// The linker turns each call of NAME into one of __wrap_NAME (-Wl,--wrap); glibc 2.35 and libstdc++ 12 gave these three
// new versions, and keep the older ones, which differ in errno and in thread cancellation alone.
#include <condition_variable>
#include <mutex>

extern "C" {

double older_hypot(double x, double y);
__asm__(".symver older_hypot,hypot@GLIBC_2.2.5");
float older_hypotf(float x, float y);
__asm__(".symver older_hypotf,hypotf@GLIBC_2.2.5");
void older_wait(std::condition_variable* self, std::unique_lock<std::mutex>& lock);
__asm__(".symver older_wait,_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");

double __wrap_hypot(double x, double y);
float __wrap_hypotf(float x, float y);
void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(std::condition_variable* self,
                                                                      std::unique_lock<std::mutex>& lock);

double __wrap_hypot(double x, double y) { return older_hypot(x, y); }
float __wrap_hypotf(float x, float y) { return older_hypotf(x, y); }
// A member function takes its object as the first argument (Itanium C++ ABI).
void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(std::condition_variable* self,
                                                                      std::unique_lock<std::mutex>& lock) {
  older_wait(self, lock);
}
}
