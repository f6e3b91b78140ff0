// The log sink of a program: text or JSON lines, to stderr and/or a file.
// Libraries return errors and do not log above debug (style rule 6).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/format.h"
#include "base/result.h"

namespace husk::log {

enum class Level : std::uint8_t { debug, info, warning, error };
enum class Form : std::uint8_t { text, json };

struct Options {
  std::string program = "husk";
  Level lowest = Level::warning;
  std::optional<Level> lowest_in_file;  // of the file, when it is another
  Form form = Form::text;
  std::string file;        // "" = none; opened append/create at once
  bool to_stderr = true;
  std::string journal_id;  // "" = none; else each message goes to the journal with the field ID
  std::string syslog_id;   // "" = none; else to syslog under this name
};
Status open(const Options& options);
Result<Level> parse_level(std::string_view text);  // debug, info, warning, error

// Text on stderr: "husk: warning: …" (error: "husk: …"). In the file: the chosen form; JSON is
// {"level":"error","msg":"…","time":"2026-11-21T09:30:00.123456Z"}, one object per line, written by
// one write(). Thread-safe.
void write(Level level, std::string_view message);
inline void debug(std::string_view message) { write(Level::debug, message); }
// The text is made only when somebody reads it.
void debug_arguments(fmt::string_view text, fmt::format_args args);
template <class First, class... Rest>
void debug(fmt::format_string<First, Rest...> text, First&& first, Rest&&... rest) {
  debug_arguments(text, fmt::make_format_args(first, rest...));
}
inline void info(std::string_view message) { write(Level::info, message); }
inline void warning(std::string_view message) { write(Level::warning, message); }
inline void error(std::string_view message) { write(Level::error, message); }

// The text as a JSON string, with quotes. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace husk::log
