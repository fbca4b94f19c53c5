// SPDX-License-Identifier: Apache-2.0
#include "pomona/report/slides.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include "pomona/base/error.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the program

namespace pomona {
namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0;
}

fs::path in_path(std::string_view name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    const fs::path file = fs::path(rest.substr(0, colon)) / name;
    if (is_program(file)) return file;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return {};
}

// The sections that render_report() put into the head of the page.
std::vector<std::string> sections_of(const fs::path& html) {
  std::ifstream file(html, std::ios::binary);
  if (!file)
    throw Error(ErrorCode::kNotFound,
                fmt::format("There is no report at {}. Make it with `pomona report`.", html.string()));
  std::string head(8192, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  static constexpr std::string_view kMark = "name=\"pomona-sections\" content=\"";
  const std::size_t mark = head.find(kMark);
  const std::size_t begin = mark == std::string::npos ? mark : mark + kMark.size();
  const std::size_t end = mark == std::string::npos ? mark : head.find('"', begin);
  if (end == std::string::npos) {
    throw Error(ErrorCode::kFormat, fmt::format("{} is not a report of Pomona.", html.string()));
  }
  std::vector<std::string> sections;
  for (std::size_t at = begin; at < end;) {
    const std::size_t comma = std::min(head.find(',', at), end);
    const std::string name = head.substr(at, comma - at);
    // The names become file names and part of an address.
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != std::string::npos) {
      throw Error(ErrorCode::kFormat, fmt::format("{} is not a report of Pomona.", html.string()));
    }
    sections.push_back(name);
    at = comma + 1;
  }
  return sections;
}

std::string file_url(const fs::path& file) {
  std::string url = "file://";
  for (const char c : fs::absolute(file).lexically_normal().string()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || c == '/' || c == '.' || c == '-' || c == '_' ||
                       c == '~';
    url += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return url;
}

// A folder of our own that goes when we do.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "pomona-slides-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw Error(ErrorCode::kIo,
                  fmt::format("Cannot make a folder in {}.", fs::temp_directory_path().string()));
    }
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Runs a program in a process group of its own, what it says going to `log`. Its exit code; -1 where it had
// to be ended after `seconds`.
int run_program(const std::vector<std::string>& command, const fs::path& log, double seconds) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(ErrorCode::kUnavailable, fmt::format("Cannot start {}.", command[0]));

  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int status = 0;
  while (true) {
    const pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (done < 0) return -1;
    if (std::chrono::steady_clock::now() > end) {
      kill(-pid, SIGKILL);
      waitpid(pid, &status, 0);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::string last_words(const fs::path& log) {
  std::ifstream file(log, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  return text.size() > 300 ? text.substr(text.size() - 300) : text;
}

}  // namespace

fs::path find_chromium() {
  if (const char* named = std::getenv("POMONA_CHROMIUM"); named != nullptr && *named != '\0') {
    const fs::path file =
        std::string_view(named).find('/') == std::string_view::npos ? in_path(named) : fs::path(named);
    if (!file.empty() && is_program(file)) return file;
    throw Error(ErrorCode::kUnavailable,
                fmt::format("POMONA_CHROMIUM is {}, which is not a program.", named));
  }
  for (const char* name :
       {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}) {
    if (fs::path file = in_path(name); !file.empty()) return file;
  }
  throw Error(
      ErrorCode::kUnavailable,
      "PNG slides need Chromium or Chrome, and neither is in PATH. Install it (Debian: apt-get install "
      "chromium), or set POMONA_CHROMIUM to where it is. report.html needs neither.");
}

std::vector<fs::path> write_slides(const fs::path& html, const fs::path& dir, const SlideOptions& options) {
  const std::vector<std::string> sections = sections_of(html);
  const fs::path chromium = find_chromium();
  std::error_code failed;
  fs::create_directories(dir, failed);
  if (failed)
    throw Error(ErrorCode::kIo,
                fmt::format("Cannot make the folder {}: {}.", dir.string(), failed.message()));

  const ScratchFolder scratch;
  const fs::path log = scratch.path() / "log";
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const fs::path file = dir / fmt::format("{:02}-{}.png", i + 1, sections[i]);
    // Beside the log first: a slide is whole or not there.
    const fs::path drawn = scratch.path() / "slide.png";
    std::vector<std::string> command = {
        chromium.string(), "--headless", "--no-first-run", "--disable-background-networking",
        "--hide-scrollbars", "--disable-dev-shm-usage",
        // WebGL in software: the same picture on every machine.
        "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        "--force-device-scale-factor=1",
        fmt::format("--user-data-dir={}", (scratch.path() / "profile").string()),
        fmt::format("--window-size={},{}", options.width, options.height), "--virtual-time-budget=3000",
        fmt::format("--screenshot={}", drawn.string())};
    // Chromium's own sandbox refuses to run as root; the page is ours and may load nothing.
    if (geteuid() == 0) command.emplace_back("--no-sandbox");
    if (options.dark) command.emplace_back("--blink-settings=preferredColorScheme=0");
    command.push_back(fmt::format("{}#slide={}", file_url(html), sections[i]));
    const int code = run_program(command, log, options.timeout_seconds);
    if (code != 0 || !fs::exists(drawn)) {
      throw Error(
          ErrorCode::kUnavailable,
          fmt::format("{} made no picture of section \"{}\" ({}): {}", chromium.string(), sections[i],
                      code == -1 ? "it took too long" : fmt::format("exit code {}", code), last_words(log)));
    }
    fs::copy_file(drawn, file, fs::copy_options::overwrite_existing, failed);
    if (failed)
      throw Error(ErrorCode::kIo, fmt::format("Cannot write {}: {}.", file.string(), failed.message()));
    fs::remove(drawn, failed);
    files.push_back(file);
  }
  return files;
}

}  // namespace pomona
