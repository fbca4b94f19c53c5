// SPDX-License-Identifier: Apache-2.0
#include "pomona/samples/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "pomona/base/descriptor.h"
#include "pomona/base/error.h"
#include "pomona/base/progress_meter.h"
#include "pomona/base/text.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBlock = 1 << 18;
constexpr std::size_t kLongestPath = 1'024;
constexpr std::size_t kLongestName = 255;  // of a file or folder, as file systems have it
constexpr int kDeepest = 32;               // folders in one another
// Below this size no ratio is looked at: a few small text files may well shrink to nothing.
constexpr std::uint64_t kRatioFrom = 64ULL << 20;

std::string reason(archive* reader) {
  const char* text = archive_error_string(reader);
  return text != nullptr ? text : "unknown reason";
}

class Unpacking {
 public:
  Unpacking(const fs::path& archive, const fs::path& folder, const UnpackOptions& options, const Hooks& hooks,
            std::stop_token stop)
      : archive_(archive),
        options_(options),
        hooks_(hooks),
        stop_(std::move(stop)),
        temporary_(folder.parent_path() / ("." + folder.filename().string() + ".unpacking")),
        reader_(archive_read_new(), &archive_read_free) {
    std::error_code error;
    archive_bytes_ = fs::file_size(archive, error);
    if (error) throw Error(ErrorCode::kNotFound, "cannot read " + archive.string() + ": " + error.message());
    archive_read_support_format_tar(reader_.get());
    archive_read_support_format_zip(reader_.get());
    // In this process only: filters that would start a program are left out.
    archive_read_support_filter_gzip(reader_.get());
    archive_read_support_filter_bzip2(reader_.get());
    archive_read_support_filter_xz(reader_.get());
    archive_read_support_filter_zstd(reader_.get());
    if (archive_read_open_filename(reader_.get(), archive.c_str(), kReadBlock) != ARCHIVE_OK) damaged();
    fs::remove_all(temporary_, error);  // what a killed run left
    fs::create_directories(temporary_, error);
    if (error)
      throw Error(ErrorCode::kIo, "cannot make the folder " + temporary_.string() + ": " + error.message());
  }
  ~Unpacking() {
    std::error_code ignored;
    if (!done_) fs::remove_all(temporary_, ignored);
  }
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  UnpackResult run(const fs::path& folder) {
    while (true) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(reader_.get(), &entry);
      if (status == ARCHIVE_EOF) break;
      // A warning is about a name or an attribute in a strange encoding; the member itself is sound.
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN) damaged();
      take(entry);
    }
    if (result_.files == 0) throw Error(ErrorCode::kFormat, archive_.string() + " holds no files");
    if (result_.skipped > 0 && hooks_.warning) {
      hooks_.warning(std::to_string(result_.skipped) + " links or devices in " + archive_.string() +
                     " were left out");
    }
    std::error_code error;
    fs::rename(temporary_, folder, error);
    if (error) throw Error(ErrorCode::kIo, "cannot make " + folder.string() + ": " + error.message());
    done_ = true;
    report(true);
    return result_;
  }

 private:
  [[noreturn]] void damaged() {
    throw Error(ErrorCode::kFormat,
                archive_.string() + " is damaged or no archive: " + reason(reader_.get()));
  }

  [[noreturn]] void hostile(std::string name, const std::string& why) {
    // The name goes to a terminal: nothing in it may steer that.
    std::ranges::replace_if(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
    throw Error(ErrorCode::kFormat, archive_.string() + " is refused: its member \"" + name + "\" " + why);
  }

  // The member's place below the folder; empty where stripping leaves nothing of it.
  fs::path place_of(const std::string& name) {
    if (name.empty() || name.size() > kLongestPath) hostile(name.substr(0, 80), "has no usable name");
    // A separator on other systems: "..\\x" would leave the folder there, or when it is copied there.
    if (name.front() == '/' || name.find('\\') != std::string::npos) {
      hostile(name, "names a place outside the folder, or may on another system");
    }
    fs::path place;
    int depth = 0;
    for (std::size_t begin = 0; begin <= name.size();) {
      const std::size_t end = std::min(name.find('/', begin), name.size());
      const std::string_view part = std::string_view(name).substr(begin, end - begin);
      begin = end + 1;
      if (part.empty() || part == ".") continue;
      if (part == "..") hostile(name, "names a place outside the folder");
      if (part.size() > kLongestName) {
        hostile(name.substr(0, 80), "has a name longer than " + std::to_string(kLongestName) + " bytes");
      }
      if (depth++ >= options_.strip) place /= part;
      if (depth > options_.strip + kDeepest) {
        hostile(name.substr(0, 80), "lies more than " + std::to_string(kDeepest) + " folders deep");
      }
    }
    return place;
  }

  // A zip's member may claim gigabytes of dictionary in these, and libarchive makes room before it reads on.
  void check_method(const std::string& name) {
    const char* const format = archive_format_name(reader_.get());
    const std::string_view text = format != nullptr ? format : "";
    if (!text.starts_with("ZIP")) return;
    for (const std::string_view method : {"lzma", "xz", "ppmd"}) {
      if (text.find(method) != std::string_view::npos) {
        hostile(name, "is packed by " + std::string(method) + ": pack it by deflate");
      }
    }
  }

  void take(archive_entry* entry) {
    check_stop();
    // Names in pax headers are UTF-8, which a process in the C locale gets only when asked for as such.
    const char* raw = archive_entry_pathname(entry);
    if (raw == nullptr) raw = archive_entry_pathname_utf8(entry);
    const std::string name = raw != nullptr ? raw : "";
    const fs::path place = place_of(name);
    count_one(name);
    check_method(name);
    check_size(name, archive_entry_size(entry));
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) {
      make_folder(place, name);
      return;
    }
    if (type != AE_IFREG || archive_entry_hardlink(entry) != nullptr) {
      ++result_.skipped;
      return;
    }
    if (place.empty()) return;
    ++result_.files;
    make_folder(place.parent_path(), name);
    write_member(place, name);
    report(false);
  }

  void count_one(const std::string& name) {
    if (++members_ <= options_.max_members) return;
    hostile(name, "is one too many: more than " + std::to_string(options_.max_members) +
                      " files and folders (max_members) are not unpacked");
  }

  // What is unpacked must stay below the limit, and in proportion to the archive: `more` bytes are to come.
  void check_size(const std::string& name, std::int64_t more) {
    const std::uint64_t bytes = result_.bytes + static_cast<std::uint64_t>(std::max<std::int64_t>(more, 0));
    if (more < 0 || bytes < result_.bytes || bytes > options_.max_bytes) {
      hostile(name, "makes it larger than " + human_bytes(options_.max_bytes) + " (max_bytes)");
    }
    // A tar is read to the end of what stands before this member, also what is skipped.
    const auto expanded =
        static_cast<std::uint64_t>(std::max<la_int64_t>(archive_filter_bytes(reader_.get(), 0), 0));
    if (std::max(bytes, expanded) > std::max(kRatioFrom, archive_bytes_ * options_.max_ratio)) {
      hostile(name, "makes it more than " + std::to_string(options_.max_ratio) +
                        " times as large as the archive, which photos never are: an archive bomb");
    }
  }

  // Nothing but real folders and files stands below temporary_: no link is ever made there to walk through.
  void make_folder(const fs::path& place, const std::string& name) {
    if (place.empty() || place == last_folder_) return;
    fs::path folder = temporary_;
    for (const fs::path& part : place) {
      folder /= part;
      std::error_code error;
      if (fs::create_directory(folder, error)) {
        if (folder != temporary_ / place) count_one(name);  // folders that no member names count too
      } else if (error == std::errc::not_a_directory || error == std::errc::file_exists ||
                 (!error && !fs::is_directory(fs::symlink_status(folder, error)))) {
        hostile(name, "is a file and a folder at once");
      } else if (error) {
        throw Error(ErrorCode::kIo, "cannot make the folder " + folder.string() + ": " + error.message());
      }
    }
    last_folder_ = place;
  }

  void write_member(const fs::path& place, const std::string& name) {
    const fs::path file = temporary_ / place;
    const Descriptor out(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (out.get() < 0) {
      if (errno == EEXIST) hostile(name, "comes twice");
      io_failed(file);
    }
    std::vector<char> buffer(kReadBlock);
    while (true) {
      check_stop();
      const la_ssize_t got = archive_read_data(reader_.get(), buffer.data(), buffer.size());
      if (got == 0) break;
      if (got < 0) damaged();
      result_.bytes += static_cast<std::uint64_t>(got);
      check_size(name, 0);
      std::string_view left(buffer.data(), static_cast<std::size_t>(got));
      while (!left.empty()) {
        const ssize_t written = ::write(out.get(), left.data(), left.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) io_failed(file);
        left.remove_prefix(static_cast<std::size_t>(written));
      }
    }
  }

  [[noreturn]] void io_failed(const fs::path& file) {
    throw Error(ErrorCode::kIo,
                "cannot write " + file.string() + ": " + std::generic_category().message(errno));
  }

  void check_stop() {
    if (stop_.stop_requested())
      throw Error(ErrorCode::kCancelled, "stopped while unpacking; nothing was left");
  }

  void report(bool always) {
    meter_.report(always, [&](Progress& progress) {
      progress.unit = "bytes";
      progress.total = archive_bytes_;
      // Filter -1 is the file itself.
      progress.done =
          always ? archive_bytes_ : static_cast<std::uint64_t>(archive_filter_bytes(reader_.get(), -1));
    });
  }

  const fs::path& archive_;
  const UnpackOptions& options_;
  const Hooks& hooks_;
  std::stop_token stop_;
  fs::path temporary_;
  std::unique_ptr<archive, decltype(&archive_read_free)> reader_;
  std::uint64_t archive_bytes_ = 0;
  fs::path last_folder_;
  std::uint64_t members_ = 0;
  bool done_ = false;
  UnpackResult result_;
  ProgressMeter meter_{hooks_};
};

}  // namespace

UnpackResult unpack_archive(const fs::path& archive, const fs::path& folder, const UnpackOptions& options,
                            const Hooks& hooks, std::stop_token stop) {
  const fs::path whole = fs::absolute(folder).lexically_normal();
  const fs::path target = whole.has_filename() ? whole : whole.parent_path();  // "photos/" is "photos"
  std::error_code error;
  if (fs::exists(fs::symlink_status(target, error))) {
    throw Error(ErrorCode::kExists, folder.string() + " is there already: name a new folder");
  }
  return Unpacking(archive, target, options, hooks, std::move(stop)).run(target);
}

}  // namespace pomona
