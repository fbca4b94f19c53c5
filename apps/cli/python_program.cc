// SPDX-License-Identifier: Apache-2.0
#include "python_program.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "pomona/base/error.h"

extern char** environ;

namespace pomona::cli {
namespace {

namespace fs = std::filesystem;

fs::path own_folder() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

// POMONA_PYTHON; else the interpreter beside the command (an environment it was installed into); else
// python3.
std::string python() {
  if (const char* named = std::getenv("POMONA_PYTHON"); named != nullptr && *named != '\0') return named;
  const fs::path beside = own_folder() / "python3";
  return fs::exists(beside) ? beside.string() : "python3";
}

// Our environment: with the package of a build folder on its path, where we run from one.
std::vector<std::string> environment_of_python() {
  std::vector<std::string> variables;
  std::string path;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string variable = *one;
    if (variable.starts_with("PYTHONPATH=")) {
      path = variable.substr(11);
    } else {
      variables.push_back(variable);
    }
  }
  const fs::path package = (own_folder() / ".." / "python").lexically_normal();
  if (fs::exists(package / "pomona")) path = package.string() + (path.empty() ? "" : ":" + path);
  if (!path.empty()) variables.push_back("PYTHONPATH=" + path);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

// Runs a program to its end; a stop is passed on as SIGTERM. Its exit code, or 128 + signal.
int run_program(std::vector<std::string> words, std::vector<std::string> variables,
                const std::stop_token& stop) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Our signals are blocked for a thread of ours to take; the program must see its own.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, words.front().c_str(), nullptr, &attributes, pointers(words).data(),
                                  pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    throw Error(ErrorCode::kUnavailable, "cannot start " + words.front() + ": " + std::strerror(failed) +
                                             ". POMONA_PYTHON names the Python that has the package pomona.");
  }
  const std::stop_callback forward(stop, [pid] { kill(pid, SIGTERM); });
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int run_python(const std::string& module, const std::vector<std::string>& words,
               const std::stop_token& stop) {
  std::vector<std::string> all = {python(), "-m", module};
  all.insert(all.end(), words.begin(), words.end());
  return run_program(std::move(all), environment_of_python(), stop);
}

}  // namespace pomona::cli
