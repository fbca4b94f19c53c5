// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/export.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <map>

#include "pomona/base/hash.h"
#include "pomona/base/paths.h"
#include "pomona/base/random_bytes.h"
#include "pomona/base/text.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestFolder = 200;  // bytes; file systems take 255

std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

// Targets by how many photos have a label for them; "label" first among equals.
std::vector<std::string> targets_of(const std::vector<Contribution>& contributions) {
  std::map<std::string, std::size_t> counts;
  for (const Contribution& one : contributions) {
    for (const ContributionLabel& label : one.labels) counts[label.target] += label.label.empty() ? 0 : 1;
  }
  std::vector<std::string> targets;
  for (const auto& [target, count] : counts) targets.push_back(target);
  std::ranges::stable_sort(targets, [&](const std::string& a, const std::string& b) {
    if (counts[a] != counts[b]) return counts[a] > counts[b];
    return (a == "label") > (b == "label");
  });
  return targets;
}

const ContributionLabel* find_label(const Contribution& contribution, const std::string& target) {
  const auto at = std::ranges::find(contribution.labels, target, &ContributionLabel::target);
  return at == contribution.labels.end() ? nullptr : &*at;
}

// A folder that goes unless it is given its name.
class Unfinished {
 public:
  explicit Unfinished(fs::path path) : path_(std::move(path)) {
    std::error_code error;
    fs::create_directories(path_, error);
    if (!error) fs::permissions(path_, fs::perms::owner_all, error);
    if (error) throw Error(ErrorCode::kIo, "cannot make " + path_.string() + ": " + error.message());
  }
  ~Unfinished() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

  const fs::path& path() const { return path_; }
  void appear_as(const fs::path& name) {
    std::error_code error;
    fs::rename(path_, name, error);  // over an empty folder too
    if (error) throw Error(ErrorCode::kIo, "cannot make " + name.string() + ": " + error.message());
    path_.clear();
  }

 private:
  fs::path path_;
};

// Local time of a file: noon of the day, so that it is that day everywhere.
fs::file_time_type file_time(const std::string& date) {
  std::tm parts{};
  ::strptime(date.c_str(), "%Y-%m-%d", &parts);
  const auto time = std::chrono::system_clock::from_time_t(::timegm(&parts));
  return std::chrono::file_clock::from_sys(time);
}

}  // namespace

std::string class_folder(const std::string& label) {
  constexpr std::array<std::string_view, 8> kSplits = {"training", "train", "validation", "valid",
                                                       "val",      "test",  "testing",    "tests"};
  const bool split = std::ranges::find(kSplits, lower_case(label)) != kSplits.end();
  std::string name;
  for (std::size_t i = 0; i < label.size(); ++i) {
    const char c = label[i];
    const bool first = i == 0 && (c == '.' || c == '_' || split);
    if (c == '/' || c == '%' || c == '\\' || first) {
      name += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      name += c;
    }
  }
  // A label may be longer than a folder's name: that of the labels.csv beside is whole.
  if (name.size() > kLongestFolder) {
    std::size_t end = kLongestFolder;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;  // whole characters
    name = name.substr(0, end) + "~" + sha256_hex(label).substr(0, 12);
  }
  return name;
}

ContributionExport export_contributions(
    const std::vector<Contribution>& contributions,
    const std::function<std::optional<std::vector<std::byte>>(std::int64_t)>& photo, const fs::path& folder,
    const std::function<void(std::span<const std::int64_t>)>& before) {
  std::error_code error;
  if (fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error)))
    throw Error(ErrorCode::kExists, folder.string() + " is there already and not empty: name another folder");

  const std::vector<std::string> targets = targets_of(contributions);
  std::string labels = "path";
  for (const std::string& target : targets) labels += "," + cell(target == "path" ? "path_" : target);
  labels += "\n";
  std::string table = "path,date,target,label,said,probability,model,model_sha256,consent\n";

  const std::string random = std::to_string(random_bytes(1)[0]) + std::to_string(random_bytes(1)[0]);
  Unfinished place(folder.parent_path() / ("." + folder.filename().string() + "." + random + ".tmp"));
  ContributionExport result;
  for (const Contribution& one : contributions) {
    const auto bytes = photo(one.id);
    if (!bytes) continue;
    const ContributionLabel* main = find_label(one, targets.front());
    const std::string file = std::to_string(one.id) + ".jpg";
    // Without a label for the main target it stands outside of the classes.
    const std::string name =
        main == nullptr || main->label.empty() ? file : class_folder(main->label) + "/" + file;
    const fs::path path = place.path() / name;
    write_file_atomically(path, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    fs::last_write_time(path, file_time(one.date), error);
    labels += cell(name);
    for (const std::string& target : targets) {
      const ContributionLabel* label = find_label(one, target);
      labels += "," + (label == nullptr ? "" : cell(label->label));
    }
    labels += "\n";
    for (const ContributionLabel& label : one.labels) {
      table += cell(name) + "," + one.date + "," + cell(label.target) + "," + cell(label.label) + "," +
               cell(label.said) + "," + (label.probability ? fmt::format("{:.6g}", *label.probability) : "") +
               "," + cell(one.model) + "," + cell(one.model_sha256) + "," + cell(one.consent) + "\n";
    }
    result.ids.push_back(one.id);
    result.files.push_back(folder / name);
    result.bytes += bytes->size();
  }
  write_file_atomically(place.path() / "labels.csv", labels);
  write_file_atomically(place.path() / "contributions.csv", table);
  before(result.ids);
  place.appear_as(folder);
  return result;
}

}  // namespace pomona
