// The protocol between huskd and husk-monitor, version 1. The only header of runtime/ that cri sees.
// One SOCK_SEQPACKET connection at "<pod dir>/monitor.sock"; one message = one packet of JSON, at
// most kMaxMessage bytes; descriptors ride along with SCM_RIGHTS. Requests carry a number that the
// reply repeats; replies may come in any order (stop and exec take long). Several clients may be
// connected at once; each connection that sent "subscribe" gets the events.
//
// Start: huskd spawns `husk-monitor --pod-id ID --dir DIR --husk PATH --runtime-root ROOT` with a
// new session and stdin on /dev/null; it listens on DIR/monitor.sock before it writes one byte "R" to
// descriptor 3 and closes it. It is a subreaper: `husk create` of every container of the pod runs as
// its child. It leaves when it gets Op::shutdown.
// On disk, for a huskd that was away: DIR/monitor.pid; DIR/containers/<id>/exit.json (an ExitRecord,
// written durably before the event is sent).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace husk::monitor {

inline constexpr int kProtocolVersion = 1;
inline constexpr std::size_t kMaxMessage = 128U << 10U;
inline constexpr int kReadyFd = 3;

enum class Op : std::uint8_t {
  hello,       // → Reply with version and the list of containers
  subscribe,   // events from now on
  create,      // `husk create`: id, bundle, log_path, terminal, stdin …
  start,       // `husk start`
  stop,        // signal, wait timeout_ms, then SIGKILL to all of it; replies when it is dead and reaped.
               // A second stop with a shorter time-out shortens the wait. Stopped already: success.
  kill,        // one signal to the first process
  exec,        // descriptors: stdout, stderr (memfds or pipes); process is a Process JSON document.
               // Replies at the end of the process with exit_code; time-out → kind timed_out, and
               // only the exec'd process tree is killed. Output beyond max_output bytes is drained.
  reopen_log,  // closes and opens log_path again; on error the old file stays in use
  remove,      // `husk delete --force`, forgets the container and its exit record
  status,      // → ContainerInfo of one
  shutdown,    // refuses while a container runs unless force
};

struct Request {
  std::uint64_t number = 0;
  Op op = Op::hello;
  std::string id;
  std::string bundle;                  // create
  std::string log_path;                // create; "" = output is drained and dropped
  bool terminal = false;               // create
  bool stdin_open = false;             // create: keep a pipe for attach; else /dev/null
  bool stdin_once = false;             // create: close stdin when the first attach leaves
  std::string attach_socket;           // create: where attach connects; "" = none
  bool systemd_cgroup = false;         // create
  bool oom_watch = true;               // create
  int signal = 15;                     // stop, kill
  std::int64_t timeout_ms = 0;         // stop, exec (exec: 0 = none)
  std::string process;                 // exec
  std::uint64_t max_output = 16U << 20U;  // exec, for each stream
  bool force = false;                  // shutdown
};

struct ExitRecord {
  std::string id;
  std::int32_t exit_code = 0;          // 0-255; 128 + signal
  std::int64_t started_at_ns = 0;      // unix; 0 = never started
  std::int64_t finished_at_ns = 0;
  bool oom_killed = false;
};

enum class ContainerPhase : std::uint8_t { created, running, exited };
struct ContainerInfo {
  std::string id;
  ContainerPhase phase = ContainerPhase::created;
  std::int32_t pid = 0;
  std::int64_t created_at_ns = 0;
  std::int64_t started_at_ns = 0;
  std::string log_path;
  std::string cgroup_path;             // as in husk's state; for stats
  std::optional<ExitRecord> exit;
};

struct Reply {
  std::uint64_t number = 0;
  bool ok = true;
  std::string error;                   // text, with the runtime's own error inside
  std::string error_kind;              // kind_name of the Error
  int version = 0;                     // hello
  std::int32_t exit_code = 0;          // exec
  std::vector<ContainerInfo> containers;  // hello, status, create, start
};

struct Event {                         // packet with "event": "exited" | "oom"
  std::string what;
  ExitRecord exit;
};

std::string encode(const Request& request);
std::string encode(const Reply& reply);
std::string encode(const Event& event);
std::string encode(const ExitRecord& record);
Result<Request> decode_request(const std::string& text);
struct ServerMessage {
  std::optional<Reply> reply;
  std::optional<Event> event;
};
Result<ServerMessage> decode_server_message(const std::string& text);
Result<ExitRecord> decode_exit_record(const std::string& text);
Error to_error(const Reply& reply);    // for !ok

// Attach socket (SOCK_SEQPACKET): first byte of a packet names the stream. Client → monitor: kStdin
// (empty payload = end of input), kResize (two little-endian 16-bit numbers: columns, rows).
// Monitor → client: kStdout, kStderr; kExit (one little-endian 32-bit exit code) is the last.
inline constexpr char kStdin = 0;
inline constexpr char kStdout = 1;
inline constexpr char kStderr = 2;
inline constexpr char kResize = 4;
inline constexpr char kExit = 5;

}  // namespace husk::monitor
