// SQLite in WAL mode, shared by several processes: names, images, layers, containers, references.
// One connection a process, one user at a time; writes are BEGIN IMMEDIATE, so that two processes
// wait for each other instead of failing half way. Read `Database::write` first.
// Source: sqlite.org/wal.html, lang_transaction.html.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace husk::images {

// A prepared statement; `bind` in order, then `step` until false.
class Statement {
 public:
  Statement(Statement&& other) noexcept : statement_{std::exchange(other.statement_, nullptr)} {}
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(std::string_view text);
  Statement& bind(std::int64_t number);
  Result<bool> step();  // true: a row
  Status run();         // no rows wanted
  std::string text(int column) const;
  std::int64_t number(int column) const;
  bool is_null(int column) const;

 private:
  friend class Connection;
  explicit Statement(sqlite3_stmt* statement) : statement_{statement} {}
  sqlite3_stmt* statement_;
  int bound_ = 0;
  int failure_ = 0;  // of a bind; reported by step
};

class Connection {
 public:
  explicit Connection(sqlite3* handle) : handle_{handle} {}
  Result<Statement> prepare(const std::string& sql);
  Status run(const std::string& sql);  // one or more statements without values
  std::int64_t changes() const;

 private:
  sqlite3* handle_;
};

class Database {
 public:
  // Creates the file and the schema when absent. Errors: unsupported (made by a newer husk).
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  using Work = std::function<Status(Connection&)>;
  Status read(const Work& work);   // one consistent view
  // All or nothing. Sync::no: after a power cut the last such writes may be missing, never broken.
  enum class Sync : bool { no, yes };
  Status write(const Work& work, Sync sync = Sync::yes);

 private:
  explicit Database(sqlite3* handle) : handle_{handle}, connection_{handle} {}
  Status transaction(const char* begin, const Work& work);
  sqlite3* handle_;
  Connection connection_;
  std::mutex mutex_;
};

}  // namespace husk::images
