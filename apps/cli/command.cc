// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "help_format.h"
#include "pomona/base/error.h"
#include "recipe.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

// Turns the first SIGINT or SIGTERM into a stop request and the second into the end of the process.
// The signals are blocked in all threads and taken by one of its own, so no handler runs anywhere.
class SignalWatch {
 public:
  SignalWatch() {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::jthread([this] {
      for (bool asked = false;;) {
        int signal = 0;
        if (sigwait(&set_, &signal) != 0 || signal == SIGUSR1) return;
        if (asked) _exit(128 + signal);
        asked = true;
        tell("\nstopping; press Ctrl-C again to leave at once\n");
        stop_.request_stop();
      }
    });
  }
  ~SignalWatch() { pthread_kill(thread_.native_handle(), SIGUSR1); }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  std::stop_token token() const { return stop_.get_token(); }

 private:
  sigset_t set_{};
  std::stop_source stop_;
  std::jthread thread_;
};

// Who starts us with stdin, stdout or stderr closed must not get our words into the file that is opened
// first.
void fill_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0 && errno == EBADF) static_cast<void>(::open("/dev/null", O_RDWR));
  }
}

int not_printed(const std::string& reason) {
  tell("pomona: cannot write to standard output: {}. What was printed is not whole\n", reason);
  return kFailed;
}

// `code`, unless what was printed did not get where it should.
int after_printing(int code) {
  if (std::fflush(stdout) != 0) return not_printed(std::strerror(errno));
  return std::ferror(stdout) == 0 ? code : not_printed("an earlier attempt failed");
}

constexpr const char* kAbout =
    "Pomona turns photos into feature vectors, a reduced table and a classifier.\n\n"
    "  pomona run photos/ results/            the whole chain\n"
    "  pomona run s3://bucket/photos results/ from any object store\n"
    "  pomona VERB --help                     examples and options of a verb\n";

}  // namespace

int run_command(int argc, char** argv, const std::vector<AddVerb>& verbs) {
  fill_standard_streams();
  // Blocks of vectors come and go on many threads. glibc would raise its threshold to their size and keep
  // them in the arena of each thread; given back at once, memory stays flat however many photos there are.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  Action action;
  CLI::App app(kAbout, "pomona");
  app.set_version_flag("--version", std::string("pomona ") + POMONA_VERSION);
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormat>());
  bool quiet = false;
  app.add_flag("--quiet,-q", quiet, "No progress, only the result")->configurable(false);
  app.fallthrough();
  for (const AddVerb add : verbs) add(app, action);

  try {
    std::vector<std::string> arguments = expand_recipe({argv + 1, argv + argc});
    const std::vector<std::string> typed(argv + 1, argv + argc);
    // CLI11 takes the arguments from the back.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
    SignalWatch signals;
    return action ? after_printing(action({signals.token(), typed, quiet})) : kWrongUse;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::RequiredError& error) {
    // Where a verb or option is misspelt, what it should have been is missing, too.
    const std::vector<std::string> unknown = app.remaining(true);
    tell("pomona: {}{}\nRun with --help for the options.\n",
         unknown.empty() ? "" : "'" + unknown.front() + "' is not known here. ", error.what());
    return kWrongUse;
  } catch (const CLI::ParseError& error) {
    tell("pomona: {}\nRun with --help for the options.\n", error.what());
    return kWrongUse;
  } catch (const Error& error) {
    tell("pomona: {}\n", error.what());
    return error.code() == ErrorCode::kUsage ? kWrongUse : kFailed;
  } catch (const std::bad_alloc&) {
    tell("pomona: out of memory. Try fewer --threads or a smaller --batch.\n");
    return kFailed;
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) != 0) return not_printed(error.code().message());
    tell("pomona: internal error: {}\n", error.what());
    return kFailed;
  } catch (const std::exception& error) {
    tell("pomona: internal error: {}\n", error.what());
    return kFailed;
  }
}

}  // namespace pomona::cli
