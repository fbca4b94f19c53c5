// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pomona/base/error.h"

namespace pomona {

// Contributions are kept under 15 days unless their owner says otherwise.
inline constexpr std::chrono::days kContributionRetention{14};

// What a contributor says about one target of a photo, and what the model had said.
struct ContributionLabel {
  std::string target = "label";            // a model's target: variety, ripeness, ...
  std::string label = {};                  // the contributor's; empty: no answer for this target
  std::string said = {};                   // the model's best label; empty: it was not asked
  std::optional<double> probability = {};  // the model's, of `said`
};

// A photo on its way into the store.
struct NewContribution {
  std::span<const std::byte> photo;  // as sent: JPEG, PNG, WebP, HEIC, AVIF
  std::vector<ContributionLabel> labels;
  std::string consent;       // version of the text that was agreed to; never empty
  std::string model;         // name of the model that was asked; may be empty
  std::string model_sha256;  // of its file; may be empty
  std::string pseudonym;     // one that new_pseudonym() made; empty: nobody's
};

// What the contributor gets back. The code is not stored: only its hash is.
struct ContributionReceipt {
  std::int64_t id = 0;
  std::string code;     // 160 random bits, "7Q2M-X0AB-...": deletes the photo
  std::string date;     // 2026-11-21
  std::string expires;  // the last day on which the photo is there, by the store's retention
};

// One contribution, without its photo.
struct Contribution {
  std::int64_t id = 0;
  std::string date;  // the day (UTC): no time is stored
  std::vector<ContributionLabel> labels;
  std::string consent, model, model_sha256, pseudonym;
  int width = 0, height = 0;  // pixels, upright
  std::uint64_t bytes = 0;    // of the stored photo
};

// A dataset or model that was made with contributions.
struct ContributionUse {
  std::string kind;    // dataset | model
  std::string name;    // its path or URI
  std::string sha256;  // of a model's file; may be empty
  std::string date;
};

// What a deletion code did.
struct ContributionRemoval {
  bool photo_removed = false;  // false: retention had removed it before
  std::string date;            // of the contribution
  std::vector<ContributionUse> uses;
};

struct PurgedContributions {
  std::uint64_t removed = 0;  // photos; those that would go in a dry run
  std::uint64_t bytes = 0;    // of them
  std::uint64_t kept = 0;     // photos that are too young
  std::string oldest;         // day of the oldest that went; empty where none did
};

struct Contributor {
  std::string pseudonym;
  std::string since;        // the day
  std::uint64_t count = 0;  // contributions ever made under it
};

struct ContributionStats {
  std::uint64_t photos = 0;
  std::uint64_t bytes = 0;
  std::string oldest, newest;  // days; empty where there are none
};

// A line of what was done: purge, delete, export, train. Names no contributor and shows nothing of a photo.
struct ContributionEvent {
  std::string time;  // 2026-11-21T04:15:44Z
  std::string what;
  std::uint64_t photos = 0;
  std::string detail;
};

struct ContributionExport {
  std::vector<std::int64_t> ids;             // in order; the photo of id 17 is FOLDER/<label>/17.jpg
  std::vector<std::filesystem::path> files;  // of each id
  std::uint64_t bytes = 0;
};

// The store holds as much as it may: its own limit, not the disk's.
class ContributionsFull : public Error {
 public:
  using Error::Error;
};

// No space is left for the store's files: on their disk, or of their owner's quota. Nothing was changed.
class DiskFull : public Error {
 public:
  using Error::Error;
};

struct ContributionOptions {
  bool create = true;                           // make the folder and the store where they are not there
  std::uint64_t max_photo_bytes = 16u << 20;    // as sent
  std::uint64_t max_pixels = 50'000'000;        // of one photo
  std::size_t max_labels = 16;                  // targets of one contribution
  std::uint64_t max_total_bytes = 10ull << 30;  // of all photos; a full store refuses
  std::uint64_t max_photos = 200'000;
  std::chrono::seconds retention = kContributionRetention;  // for the receipt; purge() is told its own
  std::function<std::int64_t()> now = {};  // seconds since 1970; empty = the clock. For tests.
};

// Photos that people sent with a label of their own and with consent, in one SQLite file,
// FOLDER/contributions.db: WAL, every change whole or not at all, deleted content overwritten. Nothing in it
// says who, where or with which device: metadata is taken off the photo, only the day is stored, and a
// deletion code is kept as its SHA-256. Thread-safe; several processes may work on one folder.
// All throw Error{kIo | kPermission | kFormat | kUnavailable}: disk full or dead, not ours to read, damaged
// or of a newer program, locked by another process for over ten seconds.
class ContributionStore {
 public:
  static constexpr const char* kFile = "contributions.db";

  // Throws Error{kNotFound} too, where there is no store and options.create is off.
  static ContributionStore open(const std::filesystem::path& folder, ContributionOptions options = {});
  ~ContributionStore();
  ContributionStore(ContributionStore&&) noexcept;
  ContributionStore& operator=(ContributionStore&&) noexcept;

  // Stores a photo without its metadata: a JPEG's picture data stay as they are to the bit (its orientation
  // is kept, its profile, thumbnail, texts and whatever follows its end go); other formats become JPEG of
  // quality 95. A photo that cannot be decoded whole, or is too large, is rejected with a sentence for its
  // owner. Throws Error{kUsage}: no consent, no label, texts that are too long or not UTF-8, a pseudonym that
  // is not one of ours; ContributionsFull.
  Outcome<ContributionReceipt> add(const NewContribution& contribution);

  // Contributions with an id above `after`, in order of id, at most `most`.
  std::vector<Contribution> list(std::int64_t after = 0, std::size_t most = SIZE_MAX) const;
  // The stored JPEG; none where the id is unknown or its photo is gone.
  std::optional<std::vector<std::byte>> photo(std::int64_t id) const;
  ContributionStats stats() const;

  // Lays photos out as `pomona train` reads them: FOLDER/<label>/<id>.jpg, labels.csv (path and one column
  // per target: for `--labels`) and contributions.csv (day, what the model had said). Appears whole or not at
  // all; a file's time is its contribution's day, for `pomona purge --photos`. Throws Error{kExists} where
  // the folder is there and not empty, Error{kNotFound} where there is no contribution. `record` notes it as
  // a dataset made with them.
  ContributionExport export_to(const std::filesystem::path& folder, bool record = true);

  // Notes that a dataset or model is made with these photos, for remove() to name. To be called before the
  // dataset or model is there, so that nothing is made that is not named.
  void record_use(const std::string& kind, const std::string& name, const std::string& sha256,
                  std::span<const std::int64_t> ids);

  // Removes the photo that was given this code, and everything about it; none where no contribution has it.
  // Typed carelessly (small letters, no dashes, O for 0) it still counts. Takes as long for a wrong code as
  // for a right one as far as the code goes: hashes are compared in constant time.
  std::optional<ContributionRemoval> remove(const std::string& code);

  // Removes photos older than that; a contribution counts as made at 00:00 UTC of its day, so none stays
  // longer than asked. Where datasets or models were made with it, its code and their names stay for a year,
  // without photo, label or pseudonym, so that remove() can still name them. Logged.
  PurgedContributions purge(std::chrono::seconds older_than, bool dry_run = false);

  // A pseudonym for someone who wants to be counted: random, and nothing else is known about them.
  std::string new_pseudonym();
  std::vector<Contributor> contributors() const;
  // Takes the pseudonym and its count away; the photos stay, nobody's. False where it is not one of ours.
  bool forget_contributor(const std::string& pseudonym);

  // The last `most` events, oldest first.
  std::vector<ContributionEvent> events(std::size_t most = 1000) const;

  const std::filesystem::path& folder() const;

 private:
  struct Impl;
  explicit ContributionStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// True where the local folder holds a store of contributions. Reads a few bytes; false for anything else.
bool is_contributions_folder(const std::filesystem::path& folder);

}  // namespace pomona
