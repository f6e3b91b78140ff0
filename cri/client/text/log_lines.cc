#include "cri/client/text/log_lines.h"

#include <utility>

namespace husk::pod {

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine parsed;
  const auto first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  auto third = line.find(' ', second + 1);
  if (third == std::string_view::npos) third = line.size();  // an empty line without its last space
  parsed.time = line.substr(0, first);
  const auto stream = line.substr(first + 1, second - first - 1);
  const auto tags = line.substr(second + 1, third - second - 1);
  if (stream != "stdout" && stream != "stderr") return std::nullopt;
  parsed.is_error = stream == "stderr";
  const auto tag = tags.substr(0, tags.find(':'));  // further tags are for later versions
  if (tag != "F" && tag != "P") return std::nullopt;
  parsed.partial = tag == "P";
  parsed.content = third < line.size() ? line.substr(third + 1) : std::string_view{};
  return parsed;
}

std::vector<LogReader::Piece> LogReader::feed(std::string_view bytes) {
  std::vector<Piece> pieces;
  carry_ += bytes;
  std::size_t at = 0;
  for (auto end = carry_.find('\n'); end != std::string::npos; end = carry_.find('\n', at)) {
    const auto text = std::string_view{carry_}.substr(at, end - at);
    at = end + 1;
    const auto line = parse_log_line(text);
    const bool is_error = line.has_value() && line->is_error;
    if (pieces.empty() || pieces.back().is_error != is_error) pieces.push_back({.is_error = is_error, .text = {}});
    auto& out = pieces.back().text;
    if (!line.has_value()) {  // a damaged line is shown rather than hidden
      out += text;
      out += '\n';
      continue;
    }
    bool& in_line = in_line_[is_error ? 1 : 0];
    if (timestamps_ && !in_line) (out += line->time) += ' ';
    out += line->content;
    if (!line->partial) out += '\n';
    in_line = line->partial;
  }
  carry_.erase(0, at);
  return pieces;
}

std::size_t tail_offset(std::string_view log, std::size_t lines) {
  std::size_t begin = log.size();
  std::size_t seen = 0;
  // Walks back line by line; a new line of text begins where the line before it is F.
  while (begin > 0) {
    const auto end = log[begin - 1] == '\n' ? begin - 1 : begin;  // the last line may be unfinished
    const auto start = end == 0 ? 0 : log.rfind('\n', end - 1) + 1;
    const auto line = parse_log_line(log.substr(start, end - start));
    const bool whole = !line.has_value() || !line->partial;
    if (whole || begin == log.size()) {
      if (seen == lines) return begin;
      ++seen;
    }
    begin = start;
  }
  return 0;
}

}  // namespace husk::pod
