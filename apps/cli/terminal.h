// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <string>
#include <utility>

#include "pomona/base/progress.h"

namespace pomona::cli {

// Prints to stderr. Where it cannot be written to (a full disk, a reader that went away), the text is lost
// and the work goes on.
template <typename... T>
void tell(fmt::format_string<T...> text, T&&... values) {
  const std::string line = fmt::format(text, std::forward<T>(values)...);
  static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
}

// Hooks that show progress on stderr: a bar that redraws itself on a terminal, else a plain line every few
// seconds. Notes and warnings stand on lines of their own. Lives as long as the hooks are used.
class ProgressDisplay {
 public:
  ProgressDisplay(std::string title, bool quiet);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  const Hooks& hooks() const { return hooks_; }
  void finish();  // clears the bar

 private:
  void show(const Progress& progress);

  std::string title_;
  bool terminal_;
  bool drawn_ = false;
  double next_line_ = 0;  // seconds
  Hooks hooks_;
};

// One progress as text of at most `width` columns, without a line end.
std::string progress_line(const std::string& title, const Progress& progress, std::size_t width, bool bar);

}  // namespace pomona::cli
