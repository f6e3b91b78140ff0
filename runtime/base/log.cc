#include "base/log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/log_datagram.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace husk::log {
namespace {

// The one global of the tree (architecture section 3): set up by main before any thread starts.
struct Sink {
  Options options;
  UniqueFd file;
  UniqueFd collector;  // journal or syslog
};
Sink& sink() {
  static Sink instance;
  return instance;
}

constexpr std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warning: return "warning";
    case Level::error: return "error";
  }
  return "error";
}

// Length of the valid UTF-8 sequence at `at`, 0 if invalid. Source: RFC 3629 section 4.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80U) return 1;
  if (first >= 0xc2U && first <= 0xdfU) return tail(1) ? 2 : 0;
  if (first >= 0xe0U && first <= 0xefU) {
    if (first == 0xe0U && byte(1) < 0xa0U) return 0;
    if (first == 0xedU && byte(1) > 0x9fU) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0U && first <= 0xf4U) {
    if (first == 0xf0U && byte(1) < 0x90U) return 0;
    if (first == 0xf4U && byte(1) > 0x8fU) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void write_line(int fd, std::string_view line) {
  // Nothing better to do when the log itself cannot be written.
  (void)sys::write_all(fd, line);
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const auto length = utf8_length(text, at);
    const auto c = text[at];
    if (length == 0) {
      out += "\\ufffd";
      ++at;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += format_text("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(at, length);
    }
    at += length;
  }
  return out + '"';
}

Status open(const Options& options) {
  sink().options = options;
  if (!options.file.empty())
    sink().file = TRY(sys::openat(AT_FDCWD, options.file, O_WRONLY | O_APPEND | O_CREAT, 0644).during("open log file"));
  if (options.journal_id.empty() && options.syslog_id.empty()) return ok();
  const auto* path = options.journal_id.empty() ? kSyslogSocket : kJournalSocket;
  sink().collector = TRY(sys::connect_unix(path, SOCK_DGRAM).during("open log").hint("use --log file:PATH"));
  // A collector that does not read must not stop us.
  return sys::set_nonblocking(sink().collector.get(), true);
}

Result<Level> parse_level(std::string_view text) {
  for (const auto level : {Level::debug, Level::info, Level::warning, Level::error})
    if (text == name_of(level)) return level;
  if (text == "warn") return Level::warning;
  return Error{Kind::invalid, format_text("unknown log level {}", quote(text))}.hint(
      "use debug, info, warning or error");
}

namespace {

void collect(const Sink& to, Level level, std::string_view message) {
  const auto entry = to.options.journal_id.empty()
                         ? syslog_entry(level, to.options.syslog_id, now_unix_ns(), ::getpid(), message)
                         : journal_entry(level, to.options.program, to.options.journal_id, message);
  (void)sys::send_message(to.collector.get(), entry);  // nothing better to do
}

}  // namespace

void write(Level level, std::string_view message) {
  const auto& to = sink();
  if (to.collector.is_open() && level >= to.options.lowest) collect(to, level, message);
  if (to.options.to_stderr && level >= to.options.lowest) {
    const auto prefix = level == Level::error ? std::string{} : format_text("{}: ", name_of(level));
    write_line(STDERR_FILENO, format_text("{}: {}{}\n", to.options.program, prefix, message));
  }
  if (!to.file.is_open() || level < to.options.lowest_in_file.value_or(to.options.lowest)) return;
  auto time = rfc3339(now_unix_ns());
  time.replace(time.size() - 4, 4, "Z");  // microseconds, as callers' parsers expect
  if (to.options.form == Form::json)
    write_line(to.file.get(), format_text("{{\"level\":\"{}\",\"msg\":{},\"time\":\"{}\"}}\n", name_of(level),
                                          json_string(message), time));
  else
    write_line(to.file.get(), format_text("time=\"{}\" level={} msg={}\n", time, name_of(level), json_string(message)));
}

void debug_arguments(fmt::string_view text, fmt::format_args args) {
  if (sink().options.lowest == Level::debug) debug(format_arguments(text, args));
}

}  // namespace husk::log
