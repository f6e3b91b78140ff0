// The standard streams of one container: pipes or a terminal on one side, the CRI log and the attach
// socket on the other. Order: create → run `husk create` with child_descriptors() →
// created() → (output flows) → ended(). Descriptors: 2 for output, 1 log, 1 attach socket, 1 stdin.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/process.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "monitor/attach.h"
#include "monitor/cri_log.h"

namespace husk::monitor {

struct IoOptions {
  std::string directory;  // for the console socket
  std::string log_path;
  std::string attach_socket;
  bool terminal = false;
  bool stdin_open = false;
  bool stdin_once = false;
  std::span<char> scratch;  // one buffer for all containers; at least 2 bytes
};

class ContainerIo {
 public:
  static Result<std::unique_ptr<ContainerIo>> create(EventLoop& loop, const IoOptions& options);
  ContainerIo(const ContainerIo&) = delete;
  ContainerIo& operator=(const ContainerIo&) = delete;
  ~ContainerIo();

  std::vector<SpawnOptions::Inherit> child_descriptors() const;
  const std::string& console_socket() const { return console_path_; }  // "" without terminal
  // What the runtime wrote to the container's stderr, when create failed.
  std::string take_error_text();
  // `husk create` succeeded: closes the child's ends, takes the terminal, begins to read.
  Status created();
  // The first process is gone: what it wrote is logged before this returns; later output of its
  // children is logged until they close the pipe.
  void ended(std::int32_t exit_code);
  Status reopen_log();
  const std::string& log_path() const { return log_.file().path(); }

 private:
  struct Source {
    UniqueFd fd;
    std::optional<EventLoop::Token> watch;
    CriLog::Stream stream = CriLog::Stream::out;
    char packet_type = 0;
  };
  ContainerIo(EventLoop& loop, const IoOptions& options, LogFile log)
      : loop_{loop}, options_{options}, log_{std::move(log)} {}
  Status make_pipes();
  Status make_console();
  Status take_terminal();
  Status listen_for_attach();
  void discard_runtime_output();
  void close_finished_log();
  Status watch_source(Source& source);
  void unwatch(Source& source);
  // One block; returns the bytes read, 0 when there is nothing more now.
  std::size_t pump(Source& source);
  void close_source(Source& source);
  void resume();
  void write_stdin(std::string_view data);
  void flush_stdin();
  void end_of_input();
  void close_stdin();
  void set_window(std::uint16_t columns, std::uint16_t rows);
  void report(const Status& status);

  EventLoop& loop_;
  IoOptions options_;
  CriLog log_;
  std::array<Source, 2> sources_;
  std::unique_ptr<AttachServer> attach_;

  UniqueFd stdin_;
  std::optional<EventLoop::Token> stdin_watch_;
  std::string stdin_pending_;
  bool stdin_closing_ = false;

  std::array<UniqueFd, 3> child_ends_;
  std::string console_path_;
  UniqueFd console_listener_;
  UniqueFd terminal_peer_;  // our own end of the terminal: it reports no hang-up while the container lives
  bool created_ = false;
  bool ended_ = false;
};

}  // namespace husk::monitor
