#include "images/database.h"

#include <sqlite3.h>

#include "base/format.h"
#include "base/text.h"
#include "images/schema.h"

namespace husk::images {
namespace {

constexpr int kBusyTimeoutMs = 30'000;  // writes are short; a stuck peer is an error in the end

Kind kind_of_sqlite(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Kind::busy;
    case SQLITE_FULL: return Kind::exhausted;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return Kind::denied;
    default: return Kind::internal;
  }
}

Error sqlite_error(sqlite3* handle, int code, std::string_view what) {
  const auto* text = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  auto error = Error{kind_of_sqlite(code), format_text("{}: {} (sqlite {})", what, text, code)};
  switch (code & 0xff) {
    case SQLITE_FULL: return std::move(error).hint("the disk is full: remove images or files");
    case SQLITE_BUSY: return std::move(error).hint("another process holds images.db for too long");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return std::move(error).hint("images.db is damaged: move it away and import the images again");
    default: return error;
  }
}

Status apply_schema(Connection& connection) {
  std::int64_t version = 0;
  {
    auto query = TRY(connection.prepare("PRAGMA user_version"));
    if (TRY(query.step())) version = query.number(0);
  }
  if (version == kSchemaVersion) return ok();
  if (version > kSchemaVersion)
    return Error{Kind::unsupported,
                 format_text("images.db has schema {}, this program knows {}", version, kSchemaVersion)}
        .hint("it was made by a newer husk: use that, or another --root");
  TRY(connection.run(kSchema));
  return connection.run(format_text("PRAGMA user_version = {}", kSchemaVersion));
}

}  // namespace

Statement::~Statement() {
  if (statement_ != nullptr) sqlite3_finalize(statement_);
}

Statement& Statement::bind(std::string_view text) {
  // An empty view may have a null pointer, which SQLite would take for NULL.
  const auto code = sqlite3_bind_text64(statement_, ++bound_, text.empty() ? "" : text.data(), text.size(),
                                        SQLITE_TRANSIENT, SQLITE_UTF8);  // NOLINT: SQLite's own cast
  if (code != SQLITE_OK) failure_ = code;
  return *this;
}

Statement& Statement::bind(std::int64_t number) {
  const auto code = sqlite3_bind_int64(statement_, ++bound_, number);
  if (code != SQLITE_OK) failure_ = code;
  return *this;
}

Result<bool> Statement::step() {
  const int code = failure_ != 0 ? failure_ : sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqlite_error(sqlite3_db_handle(statement_), code, quote(sqlite3_sql(statement_)));
}

Status Statement::run() {
  TRY(step());
  return ok();
}

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string{} : std::string(bytes, static_cast<std::size_t>(size));
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }
bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

Result<Statement> Connection::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(handle_, sql.c_str(), static_cast<int>(sql.size()) + 1, &statement, nullptr);
  if (code != SQLITE_OK) return sqlite_error(handle_, code, quote(sql));
  return Statement{statement};
}

Status Connection::run(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(handle_, code, quote(sql));
  return ok();
}

std::int64_t Connection::changes() const { return sqlite3_changes64(handle_); }

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  sqlite3* handle = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, kFlags, nullptr);
  std::unique_ptr<Database> database{new Database{handle}};
  if (code != SQLITE_OK) return sqlite_error(handle, code, format_text("sqlite3_open_v2({})", quote(path)));
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  auto& connection = database->connection_;
  TRY(connection.run("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON").during("open images.db"));
  TRY(database->write(apply_schema).during("open images.db"));
  return database;
}

Database::~Database() { sqlite3_close_v2(handle_); }

Status Database::read(const Work& work) {
  const std::lock_guard lock{mutex_};
  return transaction("BEGIN", work);
}

Status Database::write(const Work& work, Sync sync) {
  const std::lock_guard lock{mutex_};
  TRY(connection_.run(sync == Sync::yes ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
  return transaction("BEGIN IMMEDIATE", work);
}

Status Database::transaction(const char* begin, const Work& work) {
  TRY(connection_.run(begin));
  auto done = work(connection_);
  if (done.has_value()) done = connection_.run("COMMIT");
  if (done.has_value()) return ok();
  // A full disk may have rolled back already: then this fails and nothing is lost.
  (void)connection_.run("ROLLBACK");
  return done;
}

}  // namespace husk::images
