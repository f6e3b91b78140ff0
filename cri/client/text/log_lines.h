// CRI log files, read back: "<time> <stdout|stderr> <tags> <content>". Pure.
// Source: kubelet's pkg/kubelet/kuberuntime/logs: parts (P) are joined by the reader until F.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace husk::pod {

struct LogLine {
  std::string_view time;
  bool is_error = false;  // stderr
  bool partial = false;
  std::string_view content;
};
std::optional<LogLine> parse_log_line(std::string_view line);  // nullopt: not of this format

// Bytes of a log file in, text for people out. Keeps an unfinished line of the file for the next call.
class LogReader {
 public:
  explicit LogReader(bool timestamps) : timestamps_{timestamps} {}
  struct Piece {
    bool is_error = false;
    std::string text;
  };
  // Text of one stream may come in several pieces, in order.
  std::vector<Piece> feed(std::string_view bytes);

 private:
  bool timestamps_;
  std::string carry_;
  bool in_line_[2] = {false, false};  // a P line of this stream was printed: no time in front
};

// Where the last `lines` whole lines (F) of a log begin.
std::size_t tail_offset(std::string_view log, std::size_t lines);

}  // namespace husk::pod
