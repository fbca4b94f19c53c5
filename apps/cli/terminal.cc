// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "pomona/base/text.h"

namespace pomona::cli {
namespace {

constexpr double kSecondsPerLine = 5;
constexpr std::size_t kBarCells = 16;

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

// Columns of a UTF-8 text whose characters are all one column wide.
std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string amount(const Progress& progress, std::uint64_t count) {
  return progress.unit == "bytes" ? human_bytes(count) : human_count(count);
}

}  // namespace

std::string progress_line(const std::string& title, const Progress& progress, std::size_t width, bool bar) {
  std::string line = title + "  ";
  const std::uint64_t done = progress.done;
  if (progress.total && *progress.total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(*progress.total));
    if (bar) {
      const auto full = static_cast<std::size_t>(std::lround(share * kBarCells));
      for (std::size_t i = 0; i < kBarCells; ++i) line += i < full ? "█" : "░";
      line += " ";
    }
    line += fmt::format("{:3.0f} %  {} of {}", 100 * share, amount(progress, done),
                        amount(progress, *progress.total));
  } else {
    line += amount(progress, done) + " " + (progress.unit == "bytes" ? "" : progress.unit);
  }
  if (progress.rejected > 0) line += fmt::format("  {} rejected", human_count(progress.rejected));
  if (progress.rate > 0) {
    line += progress.unit == "bytes" ? "  " + human_bytes(static_cast<std::uint64_t>(progress.rate)) + "/s"
                                     : fmt::format("  {:.0f}/s", progress.rate);
    if (progress.total && *progress.total > done) {
      line += "  ETA " + human_seconds(static_cast<double>(*progress.total - done) / progress.rate);
    }
  }
  if (columns(line) > width && bar) return progress_line(title, progress, width, false);
  return line;
}

ProgressDisplay::ProgressDisplay(std::string title, bool quiet)
    : title_(std::move(title)), terminal_(isatty(STDERR_FILENO) == 1) {
  const auto line = [this](const std::string& text) {
    finish();
    tell("{}\n", text);
  };
  hooks_.warning = [line](const std::string& text) { line("warning: " + text); };
  if (quiet) return;
  hooks_.progress = [this](const Progress& progress) { show(progress); };
  hooks_.note = line;
}

ProgressDisplay::~ProgressDisplay() {
  finish();
}

void ProgressDisplay::show(const Progress& progress) {
  if (terminal_) {
    tell("\r\033[K{}", progress_line(title_, progress, terminal_width() - 1, true));
    std::fflush(stderr);
    drawn_ = true;
  } else if (progress.seconds >= next_line_) {
    // The first line comes early, so that a log shows that something happens.
    next_line_ = next_line_ == 0 ? 1 : progress.seconds + kSecondsPerLine;
    if (progress.done == 0) return;
    tell("{}\n", progress_line(title_, progress, 120, false));
  }
}

void ProgressDisplay::finish() {
  if (!drawn_) return;
  tell("\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace pomona::cli
