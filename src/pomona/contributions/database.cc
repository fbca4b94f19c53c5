// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/database.h"

#include <sqlite3.h>

#include <cerrno>
#include <limits>

#include "pomona/base/error.h"
#include "pomona/base/system_error.h"
#include "pomona/contributions/contributions.h"

namespace pomona {
namespace {

constexpr int kBusyMilliseconds = 10'000;

bool is_full(int system) {
  return system == ENOSPC || system == EDQUOT;
}

// The errno of the last failure at a file of the database, 0 where there was none. SQLite does not pass on
// what a commit failed of: some file systems find no room only when data is to reach the disk.
int last_errno(sqlite3* database, int which) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(database, "main", which, static_cast<void*>(&file)) != SQLITE_OK ||
      file == nullptr || file->pMethods == nullptr)
    return 0;
  int system = 0;
  return file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &system) == SQLITE_OK ? system : 0;
}

bool sync_was_full(sqlite3* database, int code) {
  if (database == nullptr || code != SQLITE_IOERR_FSYNC) return false;
  return is_full(last_errno(database, SQLITE_FCNTL_JOURNAL_POINTER)) ||
         is_full(last_errno(database, SQLITE_FCNTL_FILE_POINTER));
}

[[noreturn]] void fail(sqlite3* database, int code) {
  const char* name = database == nullptr ? nullptr : sqlite3_db_filename(database, "main");
  const std::string file = name == nullptr || *name == '\0' ? "the store of contributions" : name;
  const std::string why = database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database);
  const int system = database == nullptr ? 0 : sqlite3_system_errno(database);
  // SQLite says "full" of a page that it cannot write, not of its other files, nor of a used-up quota.
  if ((code & 0xFF) == SQLITE_FULL || ((code & 0xFF) == SQLITE_IOERR && is_full(system)) ||
      sync_was_full(database, code)) {
    throw DiskFull(ErrorCode::kIo, "cannot write " + file + ": " + system_reason(ENOSPC));
  }
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorCode::kUnavailable, file + " is locked by another process. Try again.");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_SCHEMA:
      throw Error(ErrorCode::kFormat, file + " is damaged, or no store of contributions: " + why);
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      throw Error(ErrorCode::kPermission, "cannot write " + file + ": " + why);
    case SQLITE_NOMEM:
      throw std::bad_alloc();
    default:
      throw Error(ErrorCode::kIo, "cannot use " + file + ": " + why);
  }
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement::Statement(sqlite3* database, std::string_view sql) : database_(database) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement, nullptr));
  statement_.reset(statement);
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) fail(database_, code);
}

Statement& Statement::bind(std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), ++bound_, value));
  return *this;
}

Statement& Statement::bind(double value) {
  check(sqlite3_bind_double(statement_.get(), ++bound_, value));
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  check(sqlite3_bind_text64(statement_.get(), ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(std::span<const std::byte> blob) {
  check(sqlite3_bind_blob64(statement_.get(), ++bound_, blob.data(), blob.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null() {
  check(sqlite3_bind_null(statement_.get(), ++bound_));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    fail(database_, code);
  }
  return false;
}

void Statement::run() {
  while (step()) {
  }
  check(sqlite3_reset(statement_.get()));
  bound_ = 0;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return text == nullptr
             ? std::string()
             : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

std::vector<std::byte> Statement::blob(int column) const {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, bytes + sqlite3_column_bytes(statement_.get(), column)};
}

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close_v2(handle);
}

Database::Database(const std::string& file, bool create) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                    SQLITE_OPEN_EXRESCODE | (create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(file.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (code != SQLITE_OK) fail(handle, code);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
}

void Database::execute(const std::string& sql) const {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(handle_.get(), code);
}

std::int64_t Database::number(std::string_view sql) const {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::int64_t Database::last_id() const {
  return sqlite3_last_insert_rowid(handle_.get());
}

int Database::changes() const {
  return sqlite3_changes(handle_.get());
}

Transaction::Transaction(const Database& database) : database_(database) {
  database_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (...) {
    // The failure that ended it may have rolled it back; there is nothing left to undo.
    open_ = false;
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace pomona
