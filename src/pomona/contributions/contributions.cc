// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/contributions.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <mutex>
#include <thread>

#include "pomona/base/hash.h"
#include "pomona/base/random_bytes.h"
#include "pomona/base/text.h"
#include "pomona/contributions/clean_photo.h"
#include "pomona/contributions/database.h"
#include "pomona/contributions/deletion_code.h"
#include "pomona/contributions/export.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kApplication = 0x504F4D43;  // "POMC", at offset 68 of the file
constexpr std::int64_t kVersion = 1;
constexpr std::int64_t kDay = 86'400;       // seconds
constexpr std::int64_t kReceiptDays = 365;  // how long a code of a purged photo still names models
constexpr std::size_t kMostText = 200;      // bytes of a label, name or version
constexpr std::size_t kSelector = 8;        // digits of a code's hash that rows are found by
constexpr std::int64_t kEvents = 100'000;   // kept

// `day` is days since 1970. Photos stand apart, so that going through contributions does not read them.
// A contribution whose photo is gone and whose `gone` is set is a receipt: code and uses, nothing else.
constexpr const char* kSchema = R"sql(
CREATE TABLE contributors(
  pseudonym TEXT PRIMARY KEY, since INTEGER NOT NULL, count INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE contributions(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  selector TEXT NOT NULL, code_hash TEXT NOT NULL UNIQUE,
  day INTEGER NOT NULL, gone INTEGER,
  consent TEXT NOT NULL, model TEXT NOT NULL, model_sha256 TEXT NOT NULL,
  pseudonym TEXT REFERENCES contributors ON DELETE SET NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX contributions_selector ON contributions(selector);
CREATE INDEX contributions_day ON contributions(day);
CREATE INDEX contributions_pseudonym ON contributions(pseudonym);
CREATE TABLE labels(
  contribution INTEGER NOT NULL REFERENCES contributions ON DELETE CASCADE,
  position INTEGER NOT NULL, target TEXT NOT NULL, label TEXT NOT NULL, said TEXT NOT NULL, probability REAL,
  PRIMARY KEY(contribution, position)) WITHOUT ROWID;
CREATE TABLE photos(
  contribution INTEGER PRIMARY KEY REFERENCES contributions ON DELETE CASCADE, jpeg BLOB NOT NULL);
CREATE TABLE uses(
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, day INTEGER NOT NULL);
CREATE TABLE used(
  contribution INTEGER NOT NULL REFERENCES contributions ON DELETE CASCADE,
  use INTEGER NOT NULL REFERENCES uses ON DELETE CASCADE, PRIMARY KEY(contribution, use)) WITHOUT ROWID;
CREATE TABLE events(
  id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, what TEXT NOT NULL, photos INTEGER NOT NULL,
  detail TEXT NOT NULL);
)sql";

std::string utc(std::int64_t seconds, const char* format) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

std::string day_text(std::int64_t day) {
  return utc(day * kDay, "%Y-%m-%d");
}

// Texts end in tables, file names and pages: no control characters, no line ends.
void check_text(const std::string& text, const char* what) {
  const bool control = std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (text.size() > kMostText || control || !is_utf8(text)) {
    throw Error(ErrorCode::kUsage, std::string(what) + " must be UTF-8 text of at most " +
                                       std::to_string(kMostText) + " bytes without control characters");
  }
}

void check_contribution(const NewContribution& contribution, const ContributionOptions& options) {
  if (contribution.consent.empty())
    throw Error(ErrorCode::kUsage,
                "a contribution needs consent: the version of the text that was agreed to");
  check_text(contribution.consent, "the version of the consent");
  check_text(contribution.model, "the model's name");
  check_text(contribution.model_sha256, "the model's SHA-256");
  check_text(contribution.pseudonym, "the pseudonym");
  if (contribution.labels.size() > options.max_labels)
    throw Error(ErrorCode::kUsage,
                "more than " + std::to_string(options.max_labels) + " labels on one photo");
  bool labelled = false;
  for (std::size_t i = 0; i < contribution.labels.size(); ++i) {
    const ContributionLabel& label = contribution.labels[i];
    check_text(label.target, "a target's name");
    check_text(label.label, "a label");
    check_text(label.said, "what the model said");
    if (label.target.empty()) throw Error(ErrorCode::kUsage, "a label's target has no name");
    if (label.probability && !(*label.probability >= 0 && *label.probability <= 1))
      throw Error(ErrorCode::kUsage, "a probability must be between 0 and 1");
    for (std::size_t j = 0; j < i; ++j) {
      if (contribution.labels[j].target == label.target)
        throw Error(ErrorCode::kUsage, "two labels for '" + label.target + "'");
    }
    labelled = labelled || label.label.find_first_not_of(' ') != std::string::npos;
  }
  if (!labelled) throw Error(ErrorCode::kUsage, "a contribution needs a label: say what the photo shows");
}

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// The folder and an empty file that nobody else may read; SQLite gives its other files the same rights.
void make_place(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) {
    fs::create_directories(folder, error);
    if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  }
  if (error || !fs::is_directory(folder)) {
    throw Error(error == std::errc::permission_denied ? ErrorCode::kPermission : ErrorCode::kIo,
                "cannot make the folder " + folder.string() + (error ? ": " + error.message() : ""));
  }
  const std::string file = folder / ContributionStore::kFile;
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::close(fd);
  } else if (errno != EEXIST) {
    throw Error(errno == EACCES ? ErrorCode::kPermission : ErrorCode::kIo,
                "cannot make " + file + ": " + std::strerror(errno));
  }
}

std::unique_ptr<Database> open_database(const fs::path& folder, bool create) {
  const std::string file = fs::canonical(folder) / ContributionStore::kFile;
  auto database = std::make_unique<Database>(file, create);
  database->execute("PRAGMA auto_vacuum=INCREMENTAL");  // of a new file; others keep theirs
  database->execute("PRAGMA secure_delete=ON");
  database->execute("PRAGMA foreign_keys=ON");
  database->execute("PRAGMA cell_size_check=ON");
  database->execute("PRAGMA temp_store=MEMORY");
  const bool empty = database->number("SELECT count(*) FROM sqlite_schema") == 0;
  const std::int64_t application = database->number("PRAGMA application_id");
  if (!(empty && application == 0) && application != kApplication)
    throw Error(ErrorCode::kFormat, file + " is a database of something else, no store of contributions");
  database->execute("PRAGMA journal_mode=WAL");
  database->execute("PRAGMA synchronous=FULL");  // a receipt that was given out survives a power cut
  {
    Transaction transaction(*database);
    const std::int64_t version = database->number("PRAGMA user_version");
    if (version > kVersion) {
      throw Error(ErrorCode::kFormat, file + " was written by a newer pomona (format " +
                                          std::to_string(version) + ", this one knows " +
                                          std::to_string(kVersion) + ")");
    }
    if (version == 0) {
      database->execute(kSchema);
      database->execute("PRAGMA application_id=" + std::to_string(kApplication));
      database->execute("PRAGMA user_version=" + std::to_string(kVersion));
    }
    transaction.commit();
    // The header must say what the file is to those who read nothing else of it.
    if (version == 0) database->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  return database;
}

}  // namespace

struct ContributionStore::Impl {
  fs::path folder;
  ContributionOptions options;
  std::unique_ptr<Database> database;
  mutable std::mutex mutex;  // one statement sequence at a time on the connection

  std::int64_t now() const { return options.now ? options.now() : std::time(nullptr); }
  std::int64_t today() const { return now() / kDay; }

  void event(const std::string& what, std::uint64_t photos, const std::string& detail) const {
    database->prepare("INSERT INTO events(time, what, photos, detail) VALUES(?, ?, ?, ?)")
        .bind(now())
        .bind(what)
        .bind(photos)
        .bind(detail)
        .run();
    database->prepare("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?").bind(kEvents).run();
  }

  // Deleted content is overwritten in the file; here it leaves the write-ahead log too, and the file shrinks.
  void forget_deleted() const {
    database->prepare("PRAGMA incremental_vacuum").run();
    database->prepare("PRAGMA wal_checkpoint(TRUNCATE)").run();
  }

  std::vector<ContributionUse> uses_of(std::int64_t id) const {
    Statement statement = database->prepare(
        "SELECT kind, name, sha256, day FROM uses JOIN used ON used.use = uses.id WHERE contribution = ? "
        "ORDER BY uses.id");
    statement.bind(id);
    std::vector<ContributionUse> uses;
    while (statement.step()) {
      uses.push_back(
          {statement.text(0), statement.text(1), statement.text(2), day_text(statement.integer(3))});
    }
    return uses;
  }

  std::vector<Contribution> list(std::int64_t after, std::size_t most) const {
    Statement statement = database->prepare(
        "SELECT id, day, consent, model, model_sha256, pseudonym, width, height, bytes FROM contributions "
        "WHERE id > ? AND gone IS NULL ORDER BY id LIMIT ?");
    statement.bind(after).bind(static_cast<std::int64_t>(std::min<std::size_t>(most, INT64_MAX)));
    std::vector<Contribution> found;
    while (statement.step()) {
      Contribution one;
      one.id = statement.integer(0);
      one.date = day_text(statement.integer(1));
      one.consent = statement.text(2);
      one.model = statement.text(3);
      one.model_sha256 = statement.text(4);
      one.pseudonym = statement.text(5);
      one.width = static_cast<int>(statement.integer(6));
      one.height = static_cast<int>(statement.integer(7));
      one.bytes = static_cast<std::uint64_t>(statement.integer(8));
      Statement labels = database->prepare(
          "SELECT target, label, said, probability FROM labels WHERE contribution = ? ORDER BY position");
      labels.bind(one.id);
      while (labels.step()) {
        ContributionLabel label{labels.text(0), labels.text(1), labels.text(2), {}};
        if (!labels.is_null(3)) label.probability = labels.real(3);
        one.labels.push_back(std::move(label));
      }
      found.push_back(std::move(one));
    }
    return found;
  }

  std::optional<std::vector<std::byte>> photo(std::int64_t id) const {
    Statement statement = database->prepare("SELECT jpeg FROM photos WHERE contribution = ?");
    statement.bind(id);
    if (!statement.step()) return std::nullopt;
    return statement.blob(0);
  }

  void note_use(const std::string& kind, const std::string& name, const std::string& sha256,
                std::span<const std::int64_t> ids) const {
    database->prepare("INSERT INTO uses(kind, name, sha256, day) VALUES(?, ?, ?, ?)")
        .bind(kind)
        .bind(name)
        .bind(sha256)
        .bind(today())
        .run();
    const std::int64_t use = database->last_id();
    Statement link =
        database->prepare("INSERT INTO used(contribution, use) SELECT id, ? FROM contributions WHERE id = ?");
    for (const std::int64_t id : ids) link.bind(use).bind(id).run();
    event(kind == "model" ? "train" : "export", ids.size(), name);
  }
};

ContributionStore::ContributionStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ContributionStore::~ContributionStore() = default;
ContributionStore::ContributionStore(ContributionStore&&) noexcept = default;
ContributionStore& ContributionStore::operator=(ContributionStore&&) noexcept = default;

const fs::path& ContributionStore::folder() const {
  return impl_->folder;
}

ContributionStore ContributionStore::open(const fs::path& folder, ContributionOptions options) {
  std::error_code error;
  const bool there = fs::exists(folder / kFile, error);
  if (!there && !options.create)
    throw Error(ErrorCode::kNotFound,
                "there are no contributions in " + folder.string() + " (no " + kFile + ")");
  if (options.create) make_place(folder);
  auto impl = std::make_unique<Impl>();
  impl->folder = folder;
  impl->options = std::move(options);
  // Two processes that make the store at once: SQLite does not wait while the journal's mode changes.
  for (int attempt = 0;; ++attempt) {
    try {
      impl->database = open_database(folder, impl->options.create);
      break;
    } catch (const Error& failure) {
      if (failure.code() != ErrorCode::kUnavailable || attempt == 20) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  return ContributionStore(std::move(impl));
}

Outcome<ContributionReceipt> ContributionStore::add(const NewContribution& contribution) {
  const ContributionOptions& options = impl_->options;
  check_contribution(contribution, options);
  if (contribution.photo.size() > options.max_photo_bytes) {
    return reject(Stage::kRead, "the photo is larger than " + human_bytes(options.max_photo_bytes));
  }
  const auto clean = clean_photo(contribution.photo, options.max_pixels);  // outside of the lock
  if (!clean) return std::unexpected(clean.error());
  ContributionReceipt receipt;
  receipt.code = new_deletion_code();
  const std::string hash = hash_of_code(receipt.code).value();

  const std::lock_guard lock(impl_->mutex);
  const Database& database = *impl_->database;
  Transaction transaction(database);
  Statement held =
      database.prepare("SELECT count(*), coalesce(sum(bytes), 0) FROM contributions WHERE gone IS NULL");
  held.step();
  if (static_cast<std::uint64_t>(held.integer(0)) >= options.max_photos ||
      static_cast<std::uint64_t>(held.integer(1)) + clean->jpeg.size() > options.max_total_bytes) {
    throw ContributionsFull(ErrorCode::kUnavailable,
                            "no more contributions can be stored for now: the store is full");
  }
  if (!contribution.pseudonym.empty()) {
    database.prepare("UPDATE contributors SET count = count + 1 WHERE pseudonym = ?")
        .bind(contribution.pseudonym)
        .run();
    if (database.changes() == 0)
      throw Error(ErrorCode::kUsage, "there is no contributor of that pseudonym: ask for a new one");
  }
  const std::int64_t day = impl_->today();
  Statement row = database.prepare(
      "INSERT INTO contributions(selector, code_hash, day, consent, model, model_sha256, pseudonym, width, "
      "height, bytes) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.bind(hash.substr(0, kSelector)).bind(hash).bind(day);
  row.bind(contribution.consent).bind(contribution.model).bind(contribution.model_sha256);
  contribution.pseudonym.empty() ? row.bind_null() : row.bind(contribution.pseudonym);
  row.bind(clean->width).bind(clean->height).bind(std::uint64_t{clean->jpeg.size()});
  row.run();
  receipt.id = database.last_id();
  int position = 0;
  for (const ContributionLabel& label : contribution.labels) {
    Statement insert = database.prepare(
        "INSERT INTO labels(contribution, position, target, label, said, probability) VALUES(?, ?, ?, ?, ?, "
        "?)");
    insert.bind(receipt.id).bind(position++).bind(label.target).bind(trimmed(label.label)).bind(label.said);
    label.probability ? insert.bind(*label.probability) : insert.bind_null();
    insert.run();
  }
  database.prepare("INSERT INTO photos(contribution, jpeg) VALUES(?, ?)")
      .bind(receipt.id)
      .bind(std::span<const std::byte>(clean->jpeg))
      .run();
  transaction.commit();
  receipt.date = day_text(day);
  // It counts as made at 00:00, so the last whole day is one less.
  receipt.expires = day_text(day + std::max<std::int64_t>(0, options.retention.count() / kDay - 1));
  return receipt;
}

std::vector<Contribution> ContributionStore::list(std::int64_t after, std::size_t most) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->list(after, most);
}

std::optional<std::vector<std::byte>> ContributionStore::photo(std::int64_t id) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->photo(id);
}

ContributionStats ContributionStore::stats() const {
  const std::lock_guard lock(impl_->mutex);
  Statement statement = impl_->database->prepare(
      "SELECT count(*), coalesce(sum(bytes), 0), min(day), max(day) FROM contributions WHERE gone IS NULL");
  statement.step();
  ContributionStats stats;
  stats.photos = static_cast<std::uint64_t>(statement.integer(0));
  stats.bytes = static_cast<std::uint64_t>(statement.integer(1));
  if (stats.photos > 0) {
    stats.oldest = day_text(statement.integer(2));
    stats.newest = day_text(statement.integer(3));
  }
  return stats;
}

ContributionExport ContributionStore::export_to(const fs::path& folder, bool record) {
  // Photos are read one by one, so that the server's own requests are not held up for long.
  const std::vector<Contribution> contributions = list();
  if (contributions.empty())
    throw Error(ErrorCode::kNotFound, "there are no contributions in " + impl_->folder.string());
  const fs::path place = fs::absolute(folder).lexically_normal();
  return export_contributions(
      contributions, [this](std::int64_t id) { return photo(id); }, place,
      [&](std::span<const std::int64_t> ids) {
        if (record) record_use("dataset", place.string(), "", ids);
      });
}

void ContributionStore::record_use(const std::string& kind, const std::string& name,
                                   const std::string& sha256, std::span<const std::int64_t> ids) {
  const std::lock_guard lock(impl_->mutex);
  Transaction transaction(*impl_->database);
  impl_->note_use(kind, name, sha256, ids);
  transaction.commit();
}

std::optional<ContributionRemoval> ContributionStore::remove(const std::string& code) {
  const auto hash = hash_of_code(code);
  if (!hash) return std::nullopt;
  const std::lock_guard lock(impl_->mutex);
  const Database& database = *impl_->database;
  ContributionRemoval removal;
  {
    Transaction transaction(database);
    std::int64_t id = -1;
    Statement statement =
        database.prepare("SELECT id, code_hash, day, gone FROM contributions WHERE selector = ?");
    statement.bind(hash->substr(0, kSelector));
    while (statement.step()) {
      if (!same_hash(statement.text(1), *hash)) continue;
      id = statement.integer(0);
      removal.date = day_text(statement.integer(2));
      removal.photo_removed = statement.is_null(3);
    }
    if (id < 0) return std::nullopt;
    removal.uses = impl_->uses_of(id);
    database.prepare("DELETE FROM contributions WHERE id = ?").bind(id).run();
    std::string names;
    for (const ContributionUse& use : removal.uses)
      names += (names.empty() ? "made with it: " : ", ") + use.kind + " " + use.name;
    impl_->event("delete", removal.photo_removed ? 1 : 0, names);
    transaction.commit();
  }
  impl_->forget_deleted();
  return removal;
}

PurgedContributions ContributionStore::purge(std::chrono::seconds older_than, bool dry_run) {
  const std::lock_guard lock(impl_->mutex);
  const Database& database = *impl_->database;
  PurgedContributions result;
  {
    Transaction transaction(database);
    // Due from the day on whose 00:00 lies further back than that.
    const std::int64_t limit = impl_->now() - older_than.count();
    Statement due = database.prepare(
        "SELECT count(*), coalesce(sum(bytes), 0), min(day) FROM contributions WHERE gone IS NULL AND day * "
        "? < ?");
    due.bind(kDay).bind(limit).step();
    result.removed = static_cast<std::uint64_t>(due.integer(0));
    result.bytes = static_cast<std::uint64_t>(due.integer(1));
    if (result.removed > 0) result.oldest = day_text(due.integer(2));
    result.kept =
        static_cast<std::uint64_t>(database.number("SELECT count(*) FROM contributions WHERE gone IS NULL")) -
        result.removed;
    if (dry_run) return result;
    const auto each_due = [&](const std::string& sql) { database.prepare(sql).bind(kDay).bind(limit).run(); };
    const std::string where_due = " FROM contributions WHERE gone IS NULL AND day * ? < ?";
    each_due("DELETE FROM photos WHERE contribution IN (SELECT id" + where_due + ")");
    each_due("DELETE FROM labels WHERE contribution IN (SELECT id" + where_due + ")");
    each_due("DELETE" + where_due + " AND id NOT IN (SELECT contribution FROM used)");
    database
        .prepare(
            "UPDATE contributions SET gone = ?, consent = '', model = '', model_sha256 = '', pseudonym = "
            "NULL, "
            "width = 0, height = 0, bytes = 0 WHERE gone IS NULL AND day * ? < ?")
        .bind(impl_->today())
        .bind(kDay)
        .bind(limit)
        .run();
    database.prepare("DELETE FROM contributions WHERE gone IS NOT NULL AND gone < ?")
        .bind(impl_->today() - kReceiptDays)
        .run();
    if (result.removed > 0)
      impl_->event("purge", result.removed,
                   "older than " + human_seconds(static_cast<double>(older_than.count())));
    transaction.commit();
  }
  if (result.removed > 0) impl_->forget_deleted();
  return result;
}

std::string ContributionStore::new_pseudonym() {
  constexpr std::array<const char*, 16> kNames = {
      "apple", "apricot", "cherry", "citron",   "damson", "fig",  "grape",  "lemon",
      "lime",  "medlar",  "melon",  "mulberry", "pear",   "plum", "quince", "sorb"};
  const std::vector<unsigned char> random = random_bytes(9);
  const std::string pseudonym =
      std::string(kNames[random[0] % kNames.size()]) + "-" + to_hex(std::span(random).subspan(1));
  const std::lock_guard lock(impl_->mutex);
  impl_->database->prepare("INSERT INTO contributors(pseudonym, since) VALUES(?, ?)")
      .bind(pseudonym)
      .bind(impl_->today())
      .run();
  return pseudonym;
}

std::vector<Contributor> ContributionStore::contributors() const {
  const std::lock_guard lock(impl_->mutex);
  Statement statement = impl_->database->prepare(
      "SELECT pseudonym, since, count FROM contributors ORDER BY count DESC, pseudonym");
  std::vector<Contributor> found;
  while (statement.step()) {
    found.push_back({statement.text(0), day_text(statement.integer(1)),
                     static_cast<std::uint64_t>(statement.integer(2))});
  }
  return found;
}

bool ContributionStore::forget_contributor(const std::string& pseudonym) {
  const std::lock_guard lock(impl_->mutex);
  const Database& database = *impl_->database;
  database.prepare("DELETE FROM contributors WHERE pseudonym = ?").bind(pseudonym).run();
  const bool found = database.changes() > 0;
  if (found) impl_->forget_deleted();
  return found;
}

std::vector<ContributionEvent> ContributionStore::events(std::size_t most) const {
  const std::lock_guard lock(impl_->mutex);
  Statement statement = impl_->database->prepare(
      "SELECT time, what, photos, detail FROM (SELECT * FROM events ORDER BY id DESC LIMIT ?) ORDER BY id");
  statement.bind(static_cast<std::int64_t>(std::min<std::size_t>(most, kEvents)));
  std::vector<ContributionEvent> found;
  while (statement.step()) {
    found.push_back({utc(statement.integer(0), "%Y-%m-%dT%H:%M:%SZ"), statement.text(1),
                     static_cast<std::uint64_t>(statement.integer(2)), statement.text(3)});
  }
  return found;
}

bool is_contributions_folder(const fs::path& folder) {
  std::ifstream in(folder / ContributionStore::kFile, std::ios::binary);
  std::array<char, 100> header{};
  if (!in.read(header.data(), header.size())) return false;
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  constexpr std::string_view kOurs("POMC", 4);
  return std::string_view(header.data(), kMagic.size()) == kMagic &&
         std::string_view(header.data() + 68, kOurs.size()) == kOurs;
}

}  // namespace pomona
