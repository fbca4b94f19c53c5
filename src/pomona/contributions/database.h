// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace pomona {

// A prepared statement; values are bound in order of the question marks. Not thread-safe.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql);

  Statement& bind(std::int64_t value);
  Statement& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
  Statement& bind(int value) { return bind(static_cast<std::int64_t>(value)); }
  Statement& bind(double value);
  Statement& bind(std::string_view text);
  Statement& bind(const std::string& text) { return bind(std::string_view(text)); }
  Statement& bind(const char* text) { return bind(std::string_view(text)); }
  Statement& bind(std::span<const std::byte> blob);
  Statement& bind_null();

  // True where there is a row to read. Columns count from 0.
  bool step();
  // For statements without rows; ready to be bound again.
  void run();

  std::int64_t integer(int column) const;
  double real(int column) const;
  bool is_null(int column) const;
  std::string text(int column) const;
  std::vector<std::byte> blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  void check(int code) const;

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
};

// A connection to an SQLite file. Failures are ours, DiskFull among them: Error{kIo | kPermission | kFormat |
// kUnavailable}.
class Database {
 public:
  Database(const std::string& file, bool create);

  Statement prepare(std::string_view sql) const { return {handle_.get(), sql}; }
  void execute(const std::string& sql) const;
  std::int64_t number(std::string_view sql) const;  // of a statement with one row and column
  std::int64_t last_id() const;
  int changes() const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

// A transaction that is undone unless it is committed. Takes the write lock at once.
class Transaction {
 public:
  explicit Transaction(const Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  const Database& database_;
  bool open_ = true;
};

}  // namespace pomona
