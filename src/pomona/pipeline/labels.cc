// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/labels.h"

#include <array>
#include <deque>
#include <filesystem>
#include <utility>

#include "pomona/base/text.h"

namespace pomona {
namespace {

std::string_view below(std::string_view path, std::string_view root) {
  while (!root.empty() && root.back() == '/') root.remove_suffix(1);
  if (!root.empty() && path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/') {
    return path.substr(root.size() + 1);
  }
  return path;
}

std::string_view last_name(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::optional<std::string> as_split(std::string_view folder) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames = {{
      {"training", "Training"},
      {"train", "Training"},
      {"validation", "Validation"},
      {"valid", "Validation"},
      {"val", "Validation"},
      {"test", "Test"},
      {"testing", "Test"},
      {"tests", "Test"},
  }};
  const std::string lower = lower_case(folder);
  for (const auto& [name, split] : kNames) {
    if (lower == name) return std::string(split);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> folder_label(std::string_view path, std::string_view root) {
  const std::string_view relative = below(path, root);
  const auto slash = relative.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const std::string_view folder = last_name(relative.substr(0, slash));
  // A photo right below Training/ has a split, but no class.
  if (folder.empty() || as_split(folder)) return std::nullopt;
  return std::string(folder);
}

std::optional<std::string> path_split(std::string_view path, std::string_view root) {
  std::string_view rest = below(path, root);
  std::optional<std::string> found = as_split(last_name(root));
  for (auto slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    if (auto split = as_split(rest.substr(0, slash))) found = std::move(split);
    rest.remove_prefix(slash + 1);
  }
  return found;
}

bool has_split_folder(const std::string& root, std::size_t most) {
  namespace fs = std::filesystem;
  constexpr int kDeepest = 3;
  if (as_split(last_name(root))) return true;
  std::deque<std::pair<fs::path, int>> open = {{root, 0}};
  // Level by level: folders with very many photos are deep, and are looked into last.
  for (; !open.empty(); open.pop_front()) {
    std::error_code error;
    for (fs::directory_iterator at(open.front().first, error), end; !error && at != end;
         at.increment(error)) {
      if (most-- == 0) return false;
      std::error_code ignored;
      if (!at->is_directory(ignored)) continue;
      if (as_split(at->path().filename().native())) return true;
      if (open.front().second + 1 < kDeepest) open.emplace_back(at->path(), open.front().second + 1);
    }
  }
  return false;
}

}  // namespace pomona
