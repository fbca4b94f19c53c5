// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/purge.h"

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <set>

#include "pomona/base/descriptor.h"
#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/base/system_error.h"
#include "pomona/base/text.h"
#include "pomona/contributions/contributions.h"
#include "pomona/pipeline/moment_sequence.h"
#include "pomona/pipeline/run_record.h"
#include "pomona/storage/arrow_status_internal.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/listing.h"
#include "pomona/storage/store.h"
#include "pomona/storage/uri_paths.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 16;  // folders below dest
constexpr const char* kRunRecord = "_run.json";
constexpr std::int64_t kSecond = 1'000'000'000;  // ns
constexpr std::int64_t kPiece = 1 << 20;         // bytes

std::string utc(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// Seconds since 1970 of a date as utc_now() writes it.
std::optional<std::int64_t> parse_utc(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

// Lines added to a local file: what is about to go, before it goes, and what went, each on disk before the
// next thing goes.
class Log {
 public:
  explicit Log(const std::string& file) : file_(file) {
    fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd_ < 0) {
      throw Error(errno == EACCES ? ErrorCode::kPermission : ErrorCode::kIo,
                  "cannot write the log " + escape_path(file) + ": " + system_reason(errno) +
                      ". Nothing was removed; name another with --log");
    }
    end_last_line();
  }
  ~Log() { ::close(fd_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // `lasting`: it stands there even if the power goes.
  void add(const nlohmann::json& line, bool lasting = true) {
    const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t wrote = ::write(fd_, text.data() + done, text.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) fail();
      done += static_cast<std::size_t>(wrote);
    }
    // A device or pipe has no fsync.
    if (lasting && ::fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) fail();
  }

 private:
  // A line that somebody who was killed left half-written must not swallow the next one. Where this fails,
  // that one will, too.
  void end_last_line() const {
    const Descriptor reader(::open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    char last = '\n';
    const off_t end = reader.get() < 0 ? -1 : ::lseek(reader.get(), 0, SEEK_END);
    if (end <= 0 || ::pread(reader.get(), &last, 1, end - 1) != 1 || last == '\n') return;
    [[maybe_unused]] const ssize_t wrote = ::write(fd_, "\n", 1);
  }

  [[noreturn]] void fail() const {
    throw Error(ErrorCode::kIo, "cannot write the log " + escape_path(file_) + ": " + system_reason(errno) +
                                    ". What it does not name is still there; name another with --log");
  }

  std::string file_;
  int fd_ = -1;
};

bool is_link(const Store& store, const std::string& name) {
  if (!store.is_local()) return false;
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(store.uri() + "/" + name, error));
}

// Whether a file holds `sign`, or begins with it. A table may be larger than memory: read in pieces.
bool holds(const Store& store, const std::string& name, std::string_view sign, bool at_start) {
  const std::string what = "cannot read " + escape_path(store.uri() + "/" + name);
  const auto file = store.open_file(name);
  const auto size = take(file->GetSize(), what);
  std::string window;
  for (std::int64_t at = 0; at < size;) {
    const auto piece = take(file->ReadAt(at, at_start ? std::ssize(sign) : kPiece), what);
    if (piece->size() == 0) break;
    at += piece->size();
    window += std::string_view(*piece);
    if (at_start) return window.starts_with(sign);
    if (window.contains(sign)) return true;
    window.erase(0, window.size() - std::min(window.size(), sign.size() - 1));
  }
  return false;
}

// The newest change among the photos or parts that a listing finds; none where it finds nothing.
std::optional<std::int64_t> newest_change(const std::string& source, const std::string& glob) {
  std::optional<std::int64_t> newest;
  ListingOptions listing;
  listing.sources = {source};
  listing.glob = glob;
  try {
    list_photos(listing, [&](Entry&& entry) {
      if (entry.mtime_ns > 0) newest = std::max(newest.value_or(0), entry.mtime_ns / kSecond);
      return true;
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
  return newest;
}

class Purge {
 public:
  Purge(const PurgeOptions& options, const Hooks& hooks, std::stop_token stop)
      : options_(options),
        hooks_(hooks),
        stop_(std::move(stop)),
        root_(Store::open(options.dest)),
        limit_(std::time(nullptr) - options.older_than.count()) {
    if (root_.is_local()) {
      std::error_code error;
      const fs::file_status status = fs::status(root_.uri(), error);
      if (!fs::exists(status))
        throw Error(ErrorCode::kNotFound, "there is nothing at " + escape_path(root_.uri()));
      if (!fs::is_directory(status))
        throw Error(ErrorCode::kUsage, escape_path(root_.uri()) + " is a file: name the folder it lies in");
    }
    if (options.yes) {
      if (options.log.empty())
        throw Error(ErrorCode::kUsage, "what is removed must be logged: name a file for it");
      log_.emplace(options.log);
    }
  }

  PurgeResult run() {
    if (options_.photos) {
      photos();
    } else {
      folder(root_, options_.dest, 0);
    }
    return std::move(result_);
  }

 private:
  void check_stop() const {
    if (stop_.stop_requested()) {
      throw Error(ErrorCode::kCancelled,
                  std::to_string(std::ranges::count(result_.items, true, &PurgeItem::removed)) +
                      " things were removed before the stop: the log names them");
    }
  }

  // Whether all datasets in it went or would go, and whether there were any.
  struct Found {
    int datasets = 0;
    int due = 0;
  };

  // `uri` is `store` with the options that its own does not show.
  Found folder(const Store& store, const std::string& uri, int depth) {
    check_stop();
    if (store.is_local() && is_contributions_folder(store.uri())) {
      contributions(store);
      return {};
    }
    const DatasetState state = dataset_state(store);
    if (state == DatasetState::kFinished || state == DatasetState::kUnfinished)
      return {1, dataset(store, uri, state) ? 1 : 0};
    Found found;
    if (depth >= kDeepest) return found;
    std::vector<std::string> below;
    for (std::string name : store.list("")) {
      if (!name.ends_with('/') || name.starts_with('.') || name.starts_with('_')) continue;
      name.pop_back();
      if (!name.empty() && !is_link(store, name)) below.push_back(std::move(name));
    }
    // Those of `pomona run` first, and what it left beside them before they go themselves: of a purge that is
    // killed on the way, the next one finds the datasets, and by them the rest.
    std::vector<Due> results;
    int datasets = 0;
    for (const char* name : {"features", "reduced"}) {
      if (std::erase(below, name) == 0) continue;
      const Store inner = store.at(name);
      const DatasetState inner_state = dataset_state(inner);
      if (inner_state != DatasetState::kFinished && inner_state != DatasetState::kUnfinished) {
        below.emplace_back(name);
        continue;
      }
      ++datasets;
      if (auto due = judge(inner, uri_below(uri, name), inner_state)) results.push_back(std::move(*due));
    }
    if (!results.empty() && std::ssize(results) == datasets) companions(store, results.back().item.date);
    found.datasets += datasets;
    found.due += static_cast<int>(results.size());
    for (Due& due : results) remove_due(std::move(due));
    for (const std::string& name : below) {
      const Found inner = folder(store.at(name), uri_below(uri, name), depth + 1);
      found.datasets += inner.datasets;
      found.due += inner.due;
    }
    if (found.due > 0) remove_if_empty(store);
    return found;
  }

  // A dataset that is to go.
  struct Due {
    Store store;
    PurgeItem item;
  };

  // True where it is due.
  bool dataset(const Store& store, const std::string& uri, DatasetState state) {
    auto due = judge(store, uri, state);
    if (due) remove_due(std::move(*due));
    return due.has_value();
  }

  void remove_due(Due due) {
    check_stop();
    remove(std::move(due.item), [&store = due.store, this] {
      store.remove("_SUCCESS");
      store.remove(MomentSequence::kFile);
      remove_dataset(store);
      remove_if_empty(store);
    });
  }

  // None where it stays.
  std::optional<Due> judge(const Store& store, const std::string& uri, DatasetState state) {
    for (const char* name : {"_rejects", "_temporary"}) {
      if (is_link(store, name)) {
        warn(store.uri() + ": its " + name + " is a link. It is left as it is");
        ++result_.kept;
        return std::nullopt;
      }
    }
    PurgeItem item;
    std::optional<std::int64_t> date;
    try {
      date = describe(store, uri, state, item);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kFormat)
        throw;  // a newer Pomona's: it may consist of more than is known here
      warn(std::string(error.what()) + ". It is left as it is");
      ++result_.kept;
      return std::nullopt;
    }
    if (!date || *date > limit_) {
      if (!date) warn(store.uri() + ": nothing says when it was made. It is left as it is");
      ++result_.kept;
      return std::nullopt;
    }
    item.date = utc(*date);
    return Due{store, std::move(item)};
  }

  void contributions(const Store& store) {
    ContributionOptions options;
    options.create = false;
    ContributionStore photos = ContributionStore::open(store.uri(), options);
    const PurgedContributions due = photos.purge(options_.older_than, true);
    result_.kept += due.kept;
    if (due.removed == 0) return;
    PurgeItem item;
    item.what = "contributions";
    item.place = store.uri();
    item.date = due.oldest;
    item.rows = due.removed;
    item.bytes = due.bytes;
    remove(std::move(item), [&] { photos.purge(options_.older_than); });
  }

  // Fills in `item`; gives the dataset's date.
  static std::optional<std::int64_t> describe(const Store& store, const std::string& uri, DatasetState state,
                                              PurgeItem& item) {
    item.what = "dataset";
    item.place = store.uri();
    item.state = state == DatasetState::kFinished ? "finished" : "unfinished";
    std::optional<std::int64_t> date;
    nlohmann::json record;
    std::vector<PartRecord> parts;
    if (store.exists(kRunRecord)) {
      const std::string text = store.read(kRunRecord);
      item.bytes += text.size();
      record = parse_json(text);
      require_known_format(record, escape_path(store.uri()));
      if (record.is_object()) {
        date = parse_utc(string_of(record, "finished"));
        if (record.contains("parts") && record["parts"].is_array()) {
          for (const nlohmann::json& part : record["parts"]) {
            try {
              parts.push_back(part_from_json(part));
            } catch (const Error&) {
              continue;  // the record is damaged; what it fails to name goes by its name
            }
          }
        }
      }
    }
    // A run that is under way, or was broken off, beside or without an earlier result.
    if (state == DatasetState::kUnfinished) {
      const auto changed = newest_change(uri_below(uri, "_temporary"), "*");
      if (changed) date = std::max(date.value_or(0), *changed);
      if (auto run = find_unfinished(store)) {
        if (!record.is_object()) record = std::move(run->header);
        parts.insert(parts.end(), run->parts.begin(), run->parts.end());
      }
    }
    if (!date) date = newest_change(uri, "part-*");
    if (!date) date = newest_change(uri_below(uri, kRunRecord), "*");
    for (const PartRecord& part : parts) {
      item.rows += part.rows;
      item.bytes += part.bytes;
      if (!part.rejects_file.empty())
        item.bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(0, store.size(part.rejects_file)));
    }
    item.bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(0, store.size(MomentSequence::kFile)));
    if (record.is_object()) {
      item.kind = string_of(record, "kind");
      if (record.contains("fingerprint") && record["fingerprint"].is_object())
        item.identity = string_of(record["fingerprint"], "identity_hash");
    }
    return date;
  }

  static std::string string_of(const nlohmann::json& json, const char* name) {
    const auto at = json.find(name);
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
  }

  // What `run`, `train` and `report` leave beside the datasets it was made from; of the datasets' `date`.
  void companions(const Store& store, const std::string& date) {
    struct Companion {
      const char* what;
      const char* name;
      std::string_view sign;  // by which its content is known as ours
      bool at_start;
    };
    constexpr std::array kCompanions = {
        Companion{"pca", "pca/pca.bin", "POMONPCA", true}, Companion{"model", "model.onnx", "pomona.", false},
        Companion{"evaluation", "evaluation.json", "\"confusion\"", false},
        Companion{"report", "report.html", "omona", false}, Companion{"table", "reduced.csv", "path,", true}};
    for (const Companion& companion : kCompanions) {
      const std::string name = companion.name;
      if ((name.starts_with("pca/") && is_link(store, "pca")) || is_link(store, name) || !store.exists(name))
        continue;
      if (!holds(store, name, companion.sign, companion.at_start)) {
        warn(store.uri() + "/" + name + " is not a file of ours. It is left as it is");
        continue;
      }
      PurgeItem item;
      item.what = companion.what;
      item.place = store.uri() + "/" + name;
      item.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, store.size(name)));
      item.date = date;
      remove(std::move(item), [&] {
        store.remove(name);
        if (name.starts_with("pca/")) remove_if_empty(store.at("pca"));
      });
    }
  }

  void photos() {
    const std::string prefix = root_.uri() == "/" ? "/" : root_.uri() + "/";
    std::error_code error;
    const fs::path real_root = root_.is_local() ? fs::canonical(root_.uri(), error) : fs::path();
    std::vector<std::pair<std::string, PurgeItem>> due;
    std::set<std::string> seen;
    ListingOptions listing;
    listing.sources = {options_.dest};
    list_photos(
        listing,
        [&](Entry&& entry) {
          if (entry.directory || !entry.path.starts_with(prefix)) return true;
          const std::string name = entry.path.substr(prefix.size());
          std::int64_t changed = entry.mtime_ns / kSecond;
          if (root_.is_local()) {
            struct stat info{};
            if (!straight(real_root, name) || ::lstat(entry.path.c_str(), &info) != 0 ||
                !S_ISREG(info.st_mode))
              return true;
            changed = info.st_mtim.tv_sec;
          }
          if (!seen.insert(name).second) return true;
          if (entry.mtime_ns <= 0 || changed > limit_) {
            ++result_.kept;
            return true;
          }
          PurgeItem item;
          item.what = "photo";
          item.place = entry.path;
          item.date = utc(changed);
          item.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry.bytes));
          due.emplace_back(name, std::move(item));
          return true;
        },
        stop_);
    // Only when the listing is complete, as it must not change under it.
    std::set<std::string, std::greater<>> folders;
    for (auto& photo : due) {
      const std::string& name = photo.first;
      check_stop();
      for (auto slash = name.rfind('/'); slash != std::string::npos && slash > 0;
           slash = name.rfind('/', slash - 1))
        folders.insert(name.substr(0, slash));
      remove(std::move(photo.second), [&] {
        if (root_.is_local() && !straight(real_root, name))
          throw Error(ErrorCode::kIo, "its folder has become a link");
        root_.remove(name);
      });
    }
    // Backwards: what lies in a folder comes before it.
    for (const std::string& name : folders) remove_if_empty(root_.at(name));
  }

  // No link on the way from the root to the file's folder.
  bool straight(const fs::path& real_root, const std::string& name) const {
    std::error_code error;
    const fs::path folder = fs::path(name).parent_path();
    const fs::path real = fs::canonical(fs::path(root_.uri()) / folder, error);
    return !error && real == (folder.empty() ? real_root : (real_root / folder).lexically_normal());
  }

  template <typename Remove>
  void remove(PurgeItem item, const Remove& action) {
    if (options_.yes) {
      // Who is killed between a removal and its line has left this one.
      if (log_)
        log_->add({{"begins", item.what}, {"place", escape_path(item.place)}, {"time", utc_now()}}, false);
      try {
        action();
        item.removed = true;
      } catch (const Error& error) {
        item.failure = error.what();
        warn(escape_path(item.place) + " could not be removed: " + error.what());
      }
    }
    result_.bytes += item.bytes;
    result_.items.push_back(std::move(item));
    if (log_) {
      nlohmann::json line = to_json(result_.items.back());
      line["time"] = utc_now();
      line["older_than_seconds"] = options_.older_than.count();
      log_->add(line);
    }
    if (hooks_.progress) {
      Progress progress;
      progress.unit = options_.photos ? "photos" : "items";
      progress.done = result_.items.size();
      hooks_.progress(progress);
    }
  }

  // Local folders only: a prefix of an object store ends with its last object. The named folder itself stays.
  void remove_if_empty(const Store& store) const {
    if (!options_.yes || !store.is_local() || store.uri() == root_.uri()) return;
    ::rmdir(store.uri().c_str());  // fails where it holds anything, or is a link
  }

  void warn(const std::string& text) const {
    if (hooks_.warning) hooks_.warning(text);
  }

  const PurgeOptions& options_;
  const Hooks& hooks_;
  std::stop_token stop_;
  Store root_;
  std::int64_t limit_;  // seconds since 1970: older goes
  std::optional<Log> log_;
  PurgeResult result_;
};

}  // namespace

std::chrono::seconds parse_age(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const std::int64_t seconds = unit == "s"   ? 1
                               : unit == "m" ? 60
                               : unit == "h" ? 3600
                               : unit == "d" ? 86'400
                               : unit == "w" ? 604'800
                                             : 0;
  constexpr std::int64_t kLongest = 3'155'760'000;  // a hundred years
  if (error != std::errc() || seconds == 0 || count < 0 || count > kLongest / seconds) {
    throw Error(
        ErrorCode::kUsage,
        "'" + escape_path(text) + "' is no age: a number with s, m, h, d or w behind it, as in 14d or 12h");
  }
  return std::chrono::seconds(count * seconds);
}

PurgeResult purge(const PurgeOptions& options, const Hooks& hooks, std::stop_token stop) {
  return Purge(options, hooks, std::move(stop)).run();
}

nlohmann::json to_json(const PurgeItem& item) {
  nlohmann::json json = {{"what", item.what},
                         {"place", escape_path(item.place)},
                         {"date", item.date},
                         {"bytes", item.bytes},
                         {"removed", item.removed}};
  if (item.what == "dataset") {
    json["kind"] = item.kind;
    json["state"] = item.state;
    json["rows"] = item.rows;
    json["identity"] = item.identity;
  }
  if (item.what == "contributions") json["photos"] = item.rows;
  if (!item.failure.empty()) json["failure"] = item.failure;
  return json;
}

}  // namespace pomona
