#include "monitor/cri_log.h"

#include <fcntl.h>

#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::monitor {
namespace {

// One write carries at most about this much; bounds the memory of a container that prints newlines.
constexpr std::size_t kBatchBytes = 64U << 10U;

}  // namespace

Result<UniqueFd> LogFile::open_file(const std::string& path) {
  // O_NONBLOCK: a FIFO planted at the path must not hang the monitor.
  auto fd = TRY(sys::openat(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0640));
  const auto status = TRY(sys::fstat(fd.get()));
  if (!S_ISREG(status.st_mode)) return Error{Kind::invalid, format_text("log path {} is not a regular file", quote(path))};
  return fd;
}

Result<LogFile> LogFile::open(const std::string& path) {
  LogFile file;
  if (path.empty()) return file;
  TRY(make_directories(path.substr(0, path.rfind('/')), 0755).during("open log"));
  file.fd_ = TRY(open_file(path).during("open log"));
  file.path_ = path;
  return file;
}

Status LogFile::reopen() {
  if (path_.empty()) return ok();
  fd_ = TRY(open_file(path_).during("reopen log"));
  return ok();
}

Status LogFile::append(std::string_view lines) {
  if (is_sink()) return ok();
  auto written = sys::write_some(fd_.get(), lines);
  const auto taken = written.has_value() ? written.value() : 0;
  if (taken == lines.size()) {
    failing_ = false;
    return ok();
  }
  cut_partial_line(lines.substr(0, taken));
  const auto end_of_lines = lines.substr(0, taken).rfind('\n') + 1;  // npos + 1 is 0
  dropped_ += lines.size() - end_of_lines;
  if (std::exchange(failing_, true)) return ok();
  if (!written.has_value()) return std::move(written).error();
  return Error{Kind::exhausted, format_text("write({}): {} of {} bytes taken", quote(path_), taken, lines.size())};
}

// The next line must begin at a line's beginning. Best effort: on a file system that is so broken
// that truncation fails, one line of the log stays damaged.
void LogFile::cut_partial_line(std::string_view written) {
  const auto partial = written.size() - (written.rfind('\n') + 1);
  if (partial == 0) return;
  const auto status = sys::fstat(fd_.get());
  if (status.has_value()) (void)sys::ftruncate(fd_.get(), status.value().st_size - static_cast<off_t>(partial));
}

Status CriLog::write(Stream stream, std::string_view block) {
  if (file_.is_sink()) return ok();
  prefix_ = rfc3339(now_unix_ns()) + (stream == Stream::out ? " stdout " : " stderr ");
  batch_.reserve(block.size() + block.size() / 2 + 128);
  splitter(stream).feed(block, [&](auto head, auto tail, bool full) { add_line(head, tail, full); });
  return flush();
}

Status CriLog::finish(Stream stream) {
  if (file_.is_sink()) return ok();
  prefix_ = rfc3339(now_unix_ns()) + (stream == Stream::out ? " stdout " : " stderr ");
  splitter(stream).finish([&](auto head, auto tail, bool full) { add_line(head, tail, full); });
  return flush();
}

void CriLog::add_line(std::string_view head, std::string_view tail, bool full) {
  batch_ += prefix_;
  batch_ += full ? "F " : "P ";
  batch_ += head;
  batch_ += tail;
  batch_ += '\n';
  if (batch_.size() < kBatchBytes) return;
  auto done = file_.append(batch_);
  if (!done.has_value()) failed_ = std::move(done);
  batch_.clear();
}

Status CriLog::flush() {
  auto done = batch_.empty() ? ok() : file_.append(batch_);
  batch_ = std::string{};  // an idle container keeps no buffer
  if (!done.has_value()) return done;
  return std::exchange(failed_, ok());
}

}  // namespace husk::monitor
