// SPDX-License-Identifier: Apache-2.0
// LD_PRELOAD library of the fault harness: counts a program's file operations below some folders, and at the
// n-th of them ends the program, or fails. The same n is the same moment of the same run with one thread, and
// one in the same phase with several. What it does stands in the environment:
//   FAULT_UNDER  folders, separated by ':' (absolute); operations elsewhere are not touched
//   FAULT_OPS    letters: w = what changes something (create, write, sync, rename, remove, mkdir), r = open
//   for
//                reading, read and listing
//   FAULT_AT     the n-th such operation (from 1) is the first that is hit; 0 = none, they are only counted
//   FAULT_TIMES  how many are hit; 0 = all from there on
//   FAULT_DO     kill: SIGKILL before it; after: SIGKILL behind it; torn: a write of half the bytes, then
//   SIGKILL;
//                signal: FAULT_SIGNAL is sent and the operation goes on; errno: it fails with FAULT_ERRNO;
//                full: what needs room fails with ENOSPC, half a write done
//   FAULT_STATE  a file of 16 bytes or more: how many operations were counted, how many were hit (two int64)
//   FAULT_CLOCK  seconds that the wall clock jumps by, FAULT_CLOCK_AFTER milliseconds after the start
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS 65536

enum action { ACT_NONE, ACT_KILL, ACT_AFTER, ACT_TORN, ACT_ERRNO, ACT_FULL, ACT_SIGNAL };

static struct {
  char under[4096];
  int reads, writes, error, signal;
  long at, times;
  enum action action;
  _Atomic long* counted;
  _Atomic long* hit;
  long clock_jump, clock_after_ms;
  struct timespec begin;
} plan;
static _Atomic long own_state[2];
static _Atomic unsigned char marked[FDS];

#define REAL(result, name, ...)              \
  static result (*real_##name)(__VA_ARGS__); \
  if (real_##name == NULL) *(void**)&real_##name = dlsym(RTLD_NEXT, #name)

static long number(const char* name, long otherwise) {
  const char* value = getenv(name);
  return value == NULL || *value == '\0' ? otherwise : atol(value);
}

__attribute__((constructor)) static void read_plan(void) {
  const char* under = getenv("FAULT_UNDER");
  snprintf(plan.under, sizeof plan.under, "%s", under == NULL ? "" : under);
  const char* ops = getenv("FAULT_OPS");
  plan.reads = ops != NULL && strchr(ops, 'r') != NULL;
  plan.writes = ops != NULL && strchr(ops, 'w') != NULL;
  plan.at = number("FAULT_AT", 0);
  plan.times = number("FAULT_TIMES", 1);
  plan.error = (int)number("FAULT_ERRNO", EIO);
  plan.signal = (int)number("FAULT_SIGNAL", SIGTERM);
  const char* what = getenv("FAULT_DO");
  if (what == NULL) what = "";
  plan.action = strcmp(what, "kill") == 0     ? ACT_KILL
                : strcmp(what, "after") == 0  ? ACT_AFTER
                : strcmp(what, "torn") == 0   ? ACT_TORN
                : strcmp(what, "errno") == 0  ? ACT_ERRNO
                : strcmp(what, "full") == 0   ? ACT_FULL
                : strcmp(what, "signal") == 0 ? ACT_SIGNAL
                                              : ACT_NONE;
  plan.clock_jump = number("FAULT_CLOCK", 0);
  plan.clock_after_ms = number("FAULT_CLOCK_AFTER", 0);
  plan.counted = &own_state[0];
  plan.hit = &own_state[1];
  const char* state = getenv("FAULT_STATE");
  if (state != NULL) {
    REAL(int, open, const char*, int, ...);
    const int fd = real_open(state, O_RDWR | O_CLOEXEC);
    void* shared = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED) {
      plan.counted = (_Atomic long*)shared;
      plan.hit = plan.counted + 1;
    }
    if (fd >= 0) close(fd);
  }
  REAL(int, clock_gettime, clockid_t, struct timespec*);
  real_clock_gettime(CLOCK_MONOTONIC, &plan.begin);
}

static int below(const char* path) {
  if (path == NULL || plan.under[0] == '\0') return 0;
  for (const char* folder = plan.under; *folder != '\0';) {
    const size_t length = strcspn(folder, ":");
    if (length > 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0'))
      return 1;
    folder += length + (folder[length] == ':');
  }
  return 0;
}

static int below_at(int folder, const char* path) {
  if (path == NULL) return 0;
  if (path[0] == '/' || folder == AT_FDCWD) return below(path);
  return folder >= 0 && folder < FDS && marked[folder];
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// What is to happen with this operation.
static enum action step(int changes) {
  if (changes ? !plan.writes : !plan.reads) return ACT_NONE;
  const long n = atomic_fetch_add(plan.counted, 1) + 1;
  if (plan.at == 0 || n < plan.at) return ACT_NONE;
  if (plan.times > 0 && n >= plan.at + plan.times) return ACT_NONE;
  atomic_fetch_add(plan.hit, 1);
  if (plan.action == ACT_KILL) die();
  if (plan.action == ACT_SIGNAL) kill(getpid(), plan.signal);
  return plan.action;
}

static void remember(int fd, int ours) {
  if (fd >= 0 && fd < FDS) marked[fd] = (unsigned char)ours;
}

static int known(int fd) {
  return fd >= 0 && fd < FDS && marked[fd];
}

// Before an operation that is no write of bytes: 1 where it must fail, with errno set.
static int refused(enum action action, int needs_room) {
  if (action == ACT_ERRNO) return errno = plan.error, 1;
  if (action == ACT_FULL && needs_room) return errno = ENOSPC, 1;
  return 0;
}

static void behind(enum action action) {
  if (action == ACT_AFTER || action == ACT_TORN) die();
}

static int open_any(int (*opener)(int, const char*, int, mode_t), int folder, const char* path, int flags,
                    mode_t mode) {
  const int ours = below_at(folder, path);
  enum action action = ACT_NONE;
  const int changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  if (ours) action = step(changes);
  if (refused(action, changes)) return -1;
  const int fd = opener(folder, path, flags, mode);
  remember(fd, ours);
  behind(action);
  return fd;
}

static int open_plain(int folder, const char* path, int flags, mode_t mode) {
  REAL(int, openat, int, const char*, int, ...);
  return real_openat(folder, path, flags, mode);
}

#define MODE_OF(flags)                     \
  mode_t mode = 0;                         \
  if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list more;                          \
    va_start(more, flags);                 \
    mode = va_arg(more, mode_t);           \
    va_end(more);                          \
  }

int open(const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_any(open_plain, AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_any(open_plain, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_any(open_plain, folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_any(open_plain, folder, path, flags | O_LARGEFILE, mode);
}
int creat(const char* path, mode_t mode) {
  return open_any(open_plain, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static FILE* fopen_any(FILE* (*opener)(const char*, const char*), const char* path, const char* mode) {
  const int ours = below(path);
  const int changes = mode[0] != 'r';
  enum action action = ACT_NONE;
  if (ours) action = step(changes);
  if (refused(action, changes)) return NULL;
  FILE* file = opener(path, mode);
  if (file != NULL) remember(fileno(file), ours);
  behind(action);
  return file;
}
FILE* fopen(const char* path, const char* mode) {
  REAL(FILE*, fopen, const char*, const char*);
  return fopen_any(real_fopen, path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  REAL(FILE*, fopen64, const char*, const char*);
  return fopen_any(real_fopen64, path, mode);
}

int close(int fd) {
  REAL(int, close, int);
  remember(fd, 0);
  return real_close(fd);
}

#define READER(result, name, arguments, values, ...) \
  result name arguments {                            \
    REAL(result, name, __VA_ARGS__);                 \
    if (known(fd)) {                                 \
      const enum action action = step(0);            \
      if (refused(action, 0)) return -1;             \
      const result got = real_##name values;         \
      behind(action);                                \
      return got;                                    \
    }                                                \
    return real_##name values;                       \
  }
READER(ssize_t, read, (int fd, void* to, size_t n), (fd, to, n), int, void*, size_t)
READER(ssize_t, pread, (int fd, void* to, size_t n, off_t at), (fd, to, n, at), int, void*, size_t, off_t)
READER(ssize_t, pread64, (int fd, void* to, size_t n, off64_t at), (fd, to, n, at), int, void*, size_t,
       off64_t)
READER(ssize_t, readv, (int fd, const struct iovec* v, int n), (fd, v, n), int, const struct iovec*, int)

// A write of `all` bytes of which half may be done.
#define WRITER(name, arguments, values, half_values, all, ...)          \
  ssize_t name arguments {                                              \
    REAL(ssize_t, name, __VA_ARGS__);                                   \
    if (!known(fd)) return real_##name values;                          \
    const enum action action = step(1);                                 \
    if (action == ACT_ERRNO) return errno = plan.error, -1;             \
    if (action == ACT_FULL || action == ACT_TORN) {                     \
      const ssize_t half = (all) / 2 > 0 ? real_##name half_values : 0; \
      if (action == ACT_TORN) die();                                    \
      if (half > 0) return half;                                        \
      return errno = ENOSPC, -1;                                        \
    }                                                                   \
    const ssize_t done = real_##name values;                            \
    behind(action);                                                     \
    return done;                                                        \
  }
WRITER(write, (int fd, const void* from, size_t n), (fd, from, n), (fd, from, n / 2), n, int, const void*,
       size_t)
WRITER(pwrite, (int fd, const void* from, size_t n, off_t at), (fd, from, n, at), (fd, from, n / 2, at), n,
       int, const void*, size_t, off_t)
WRITER(pwrite64, (int fd, const void* from, size_t n, off64_t at), (fd, from, n, at), (fd, from, n / 2, at),
       n, int, const void*, size_t, off64_t)
WRITER(writev, (int fd, const struct iovec* v, int n), (fd, v, n), (fd, v, n / 2), n, int,
       const struct iovec*, int)

#define CHANGER(name, arguments, values, ours, room, ...) \
  int name arguments {                                    \
    REAL(int, name, __VA_ARGS__);                         \
    enum action action = ACT_NONE;                        \
    if (ours) action = step(1);                           \
    if (refused(action, room)) return -1;                 \
    const int done = real_##name values;                  \
    behind(action);                                       \
    return done;                                          \
  }
CHANGER(fsync, (int fd), (fd), known(fd), 1, int)
CHANGER(fdatasync, (int fd), (fd), known(fd), 1, int)
CHANGER(rename, (const char* from, const char* to), (from, to), below(from) || below(to), 0, const char*,
        const char*)
CHANGER(unlink, (const char* path), (path), below(path), 0, const char*)
CHANGER(unlinkat, (int folder, const char* path, int flags), (folder, path, flags), below_at(folder, path), 0,
        int, const char*, int)
CHANGER(rmdir, (const char* path), (path), below(path), 0, const char*)
CHANGER(mkdir, (const char* path, mode_t mode), (path, mode), below(path), 1, const char*, mode_t)

DIR* opendir(const char* path) {
  REAL(DIR*, opendir, const char*);
  const int ours = below(path);
  enum action action = ACT_NONE;
  if (ours) action = step(0);
  if (refused(action, 0)) return NULL;
  DIR* handle = real_opendir(path);
  if (handle != NULL) remember(dirfd(handle), ours);
  behind(action);
  return handle;
}

#define LISTER(type, name)                      \
  struct type* name(DIR* handle) {              \
    REAL(struct type*, name, DIR*);             \
    enum action action = ACT_NONE;              \
    if (known(dirfd(handle))) action = step(0); \
    if (refused(action, 0)) return NULL;        \
    struct type* entry = real_##name(handle);   \
    behind(action);                             \
    return entry;                               \
  }
LISTER(dirent, readdir)
LISTER(dirent64, readdir64)

static long jump(void) {
  if (plan.clock_jump == 0) return 0;
  REAL(int, clock_gettime, clockid_t, struct timespec*);
  struct timespec now;
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  const long ms = (now.tv_sec - plan.begin.tv_sec) * 1000 + (now.tv_nsec - plan.begin.tv_nsec) / 1000000;
  if (ms < plan.clock_after_ms) return 0;
  atomic_fetch_add(plan.hit, 1);
  return plan.clock_jump;
}

int clock_gettime(clockid_t clock, struct timespec* to) {
  REAL(int, clock_gettime, clockid_t, struct timespec*);
  const int done = real_clock_gettime(clock, to);
  if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) to->tv_sec += jump();
  return done;
}
int gettimeofday(struct timeval* restrict to, void* restrict zone) {
  REAL(int, gettimeofday, struct timeval*, void*);
  const int done = real_gettimeofday(to, zone);
  if (done == 0) to->tv_sec += jump();
  return done;
}
time_t time(time_t* to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to != NULL) *to = now.tv_sec;
  return now.tv_sec;
}
