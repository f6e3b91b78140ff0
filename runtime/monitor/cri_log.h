// CRI log files: LineSplitter turns the bytes of one stream into lines, LogFile appends whole lines.
// Format: "<RFC3339Nano> <stdout|stderr> <F|P> <content>\n"; lines beyond 16 KiB are cut into P parts,
// and what a stream leaves unterminated at its end is a P line.
// Source: cri-api, ContainerConfig.log_path; kubelet's pkg/kubelet/kuberuntime/logs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace husk::monitor {

inline constexpr std::size_t kMaxLogLine = 16384;

// Keeps the beginning of a line that is not over yet: at most kMaxLogLine bytes.
class LineSplitter {
 public:
  // Calls emit(head, tail, full) for each line or part; its content is `head` followed by `tail`.
  template <class Emit>
  void feed(std::string_view block, Emit&& emit) {
    while (!block.empty()) {
      const auto newline = block.find('\n');
      if (newline == std::string_view::npos) return keep(block, emit);
      emit_line(block.substr(0, newline), emit);
      block.remove_prefix(newline + 1);
    }
  }
  // The stream is over.
  template <class Emit>
  void finish(Emit&& emit) {
    if (!carry_.empty()) emit(std::string_view{carry_}, std::string_view{}, false);
    carry_ = std::string{};
  }

 private:
  // A full line is kept whole when it has exactly kMaxLogLine bytes, hence "longer than".
  template <class Emit>
  std::string_view emit_parts(std::string_view text, Emit& emit) {
    while (carry_.size() + text.size() > kMaxLogLine) {
      const auto taken = kMaxLogLine - carry_.size();
      emit(std::string_view{carry_}, text.substr(0, taken), false);
      carry_.clear();
      text.remove_prefix(taken);
    }
    return text;
  }
  template <class Emit>
  void keep(std::string_view text, Emit& emit) {
    carry_ += emit_parts(text, emit);
  }
  template <class Emit>
  void emit_line(std::string_view text, Emit& emit) {
    if (text.ends_with('\r')) {
      text.remove_suffix(1);
    } else if (text.empty() && carry_.ends_with('\r')) {
      carry_.pop_back();
    }
    text = emit_parts(text, emit);
    emit(std::string_view{carry_}, text, true);
    if (!carry_.empty()) carry_ = std::string{};  // gives the memory back
  }

  std::string carry_;
};

// Opened O_APPEND, so that each write() of whole lines is atomic towards readers and other writers.
class LogFile {
 public:
  // "" is a sink that drops everything. Missing directories on the way are created.
  static Result<LogFile> open(const std::string& path);

  // Opens the path again (after a rotation); on error the old file stays in use.
  Status reopen();
  // Nothing more will come. Who follows the file sees IN_CLOSE_WRITE.
  void close() { fd_.reset(); }
  const std::string& path() const { return path_; }
  bool is_sink() const { return !fd_.is_open(); }

  // Writes whole lines. A full disk never stops the container: lines that do not fit are dropped
  // and counted, a half-written one is cut off. Returns the first error of a series, for one report.
  Status append(std::string_view lines);
  std::uint64_t dropped_bytes() const { return dropped_; }

 private:
  static Result<UniqueFd> open_file(const std::string& path);
  void cut_partial_line(std::string_view written);

  std::string path_;
  UniqueFd fd_;
  std::uint64_t dropped_ = 0;
  bool failing_ = false;
};

// Lines of both streams of one container, collected and written in batches.
class CriLog {
 public:
  explicit CriLog(LogFile file) : file_{std::move(file)} {}

  enum class Stream : std::uint8_t { out, err };
  // Splits and writes; returns an error once per series of failures.
  Status write(Stream stream, std::string_view block);
  Status finish(Stream stream);
  LogFile& file() { return file_; }
  const LogFile& file() const { return file_; }

 private:
  void add_line(std::string_view head, std::string_view tail, bool full);
  Status flush();
  LineSplitter& splitter(Stream stream) { return stream == Stream::out ? out_ : err_; }

  LogFile file_;
  LineSplitter out_;
  LineSplitter err_;
  std::string batch_;
  std::string prefix_;  // time and stream of this batch, up to and with the space before the tag
  Status failed_ = ok();
};

}  // namespace husk::monitor
