#include "monitor/protocol.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/format.h"
#include "base/ids.h"
#include "base/text.h"
#include "oci-spec/json.h"

namespace husk::monitor {
namespace {

using oci::Json;
using oci::JsonReader;

// Deep nesting has no use here; the `process` document travels as a string.
constexpr oci::JsonLimits kLimits{.max_bytes = kMaxMessage, .max_depth = 8};

struct OpName {
  Op op;
  const char* name;
};
constexpr std::array<OpName, 11> kOps{{{Op::hello, "hello"},
                                       {Op::subscribe, "subscribe"},
                                       {Op::create, "create"},
                                       {Op::start, "start"},
                                       {Op::stop, "stop"},
                                       {Op::kill, "kill"},
                                       {Op::exec, "exec"},
                                       {Op::reopen_log, "reopen_log"},
                                       {Op::remove, "remove"},
                                       {Op::status, "status"},
                                       {Op::shutdown, "shutdown"}}};

struct PhaseName {
  ContainerPhase phase;
  const char* name;
};
constexpr std::array<PhaseName, 3> kPhases{{{ContainerPhase::created, "created"},
                                            {ContainerPhase::running, "running"},
                                            {ContainerPhase::exited, "exited"}}};

bool needs_id(Op op) { return op != Op::hello && op != Op::subscribe && op != Op::shutdown; }

void set_text(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json.set(key, value);
}

// Members that are absent keep the default of the struct.
template <class T>
void assign(T& target, std::optional<T> found) {
  if (found.has_value()) target = *std::move(found);
}

Status read_text(const JsonReader& reader, const char* key, std::string& target) {
  assign(target, TRY(reader.find_string(key)));
  return ok();
}

Status read_flag(const JsonReader& reader, const char* key, bool& target) {
  assign(target, TRY(reader.find_boolean(key)));
  return ok();
}

Status read_path(const JsonReader& reader, const char* key, std::string& target) {
  TRY(read_text(reader, key, target));
  if (!target.empty() && !target.starts_with('/'))
    return Error{Kind::invalid, format_text("\"/{}\": {} is not an absolute path", key, quote(target))};
  return ok();
}

template <class T>
Status read_integer(const JsonReader& reader, const char* key, T& target, std::int64_t lowest, std::int64_t highest) {
  const auto found = reader.find(key);
  if (found.has_value()) target = static_cast<T>(TRY(found->int64(lowest, highest)));
  return ok();
}

constexpr std::int64_t kAnyTime = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLongestTimeout_ms = 1'000'000'000'000;  // 31 years: nanoseconds do not overflow
constexpr std::int64_t kAnyInt = std::numeric_limits<std::int32_t>::max();

Result<Op> read_op(const JsonReader& reader) {
  const auto op_reader = TRY(reader.require("op"));
  const auto name = TRY(op_reader.string());
  for (const auto& known : kOps)
    if (name == known.name) return known.op;
  return op_reader.error(format_text("unknown operation {}", quote(name)))
      .hint("huskd and husk-monitor must be of one version");
}

Json record_json(const ExitRecord& record) {
  Json json = Json::object();
  json.set("id", record.id);
  json.set("exit_code", Json{record.exit_code});
  json.set("started_at_ns", Json{record.started_at_ns});
  json.set("finished_at_ns", Json{record.finished_at_ns});
  json.set("oom_killed", Json{record.oom_killed});
  return json;
}

Result<std::string> read_id(const JsonReader& reader) {
  const auto id_reader = TRY(reader.require("id"));
  const auto text = TRY(id_reader.string());
  const auto id = TRY(ContainerId::parse(text));
  return id.text();
}

Result<ExitRecord> read_record(const JsonReader& reader) {
  TRY(reader.expect_object());
  ExitRecord record;
  record.id = TRY(read_id(reader));
  const auto code = TRY(reader.require("exit_code"));
  record.exit_code = static_cast<std::int32_t>(TRY(code.int64(0, 255)));
  TRY(read_integer(reader, "started_at_ns", record.started_at_ns, 0, kAnyTime));
  TRY(read_integer(reader, "finished_at_ns", record.finished_at_ns, 0, kAnyTime));
  TRY(read_flag(reader, "oom_killed", record.oom_killed));
  return record;
}

Json info_json(const ContainerInfo& info) {
  Json json = Json::object();
  json.set("id", info.id);
  for (const auto& known : kPhases)
    if (known.phase == info.phase) json.set("phase", known.name);
  json.set("pid", Json{info.pid});
  json.set("created_at_ns", Json{info.created_at_ns});
  json.set("started_at_ns", Json{info.started_at_ns});
  set_text(json, "log_path", info.log_path);
  set_text(json, "cgroup_path", info.cgroup_path);
  if (info.exit.has_value()) json.set("exit", record_json(*info.exit));
  return json;
}

Result<ContainerPhase> read_phase(const JsonReader& reader) {
  const auto phase_reader = TRY(reader.require("phase"));
  const auto name = TRY(phase_reader.string());
  for (const auto& known : kPhases)
    if (name == known.name) return known.phase;
  return phase_reader.error(format_text("unknown phase {}", quote(name)));
}

Result<ContainerInfo> read_info(const JsonReader& reader) {
  TRY(reader.expect_object());
  ContainerInfo info;
  info.id = TRY(read_id(reader));
  info.phase = TRY(read_phase(reader));
  TRY(read_integer(reader, "pid", info.pid, 0, kAnyInt));
  TRY(read_integer(reader, "created_at_ns", info.created_at_ns, 0, kAnyTime));
  TRY(read_integer(reader, "started_at_ns", info.started_at_ns, 0, kAnyTime));
  TRY(read_text(reader, "log_path", info.log_path));
  TRY(read_text(reader, "cgroup_path", info.cgroup_path));
  if (const auto exit = reader.find("exit"); exit.has_value()) info.exit = TRY(read_record(*exit));
  return info;
}

Result<Event> read_event(const JsonReader& reader) {
  Event event;
  TRY(read_text(reader, "event", event.what));
  const auto exit = TRY(reader.require("exit"));
  event.exit = TRY(read_record(exit));
  return event;
}

Result<Reply> read_reply(const JsonReader& reader) {
  Reply reply;
  const auto number = TRY(reader.require("number"));
  reply.number = TRY(number.uint64());
  const auto succeeded = TRY(reader.require("ok"));
  reply.ok = TRY(succeeded.boolean());
  TRY(read_text(reader, "error", reply.error));
  TRY(read_text(reader, "error_kind", reply.error_kind));
  TRY(read_integer(reader, "version", reply.version, 0, kAnyInt));
  TRY(read_integer(reader, "exit_code", reply.exit_code, 0, 255));
  const auto containers = reader.find("containers");
  if (!containers.has_value()) return reply;
  for (const auto& element : TRY(containers->elements())) reply.containers.push_back(TRY(read_info(element)));
  return reply;
}

Status read_create_fields(const JsonReader& reader, Request& request) {
  TRY(read_path(reader, "bundle", request.bundle));
  TRY(read_path(reader, "log_path", request.log_path));
  TRY(read_flag(reader, "terminal", request.terminal));
  TRY(read_flag(reader, "stdin_open", request.stdin_open));
  TRY(read_flag(reader, "stdin_once", request.stdin_once));
  TRY(read_path(reader, "attach_socket", request.attach_socket));
  TRY(read_flag(reader, "systemd_cgroup", request.systemd_cgroup));
  TRY(read_flag(reader, "oom_watch", request.oom_watch));
  if (request.op == Op::create && request.bundle.empty()) return reader.error("create needs a bundle");
  return ok();
}

}  // namespace

std::string encode(const Request& request) {
  const Request defaults;
  Json json = Json::object();
  json.set("number", Json{request.number});
  for (const auto& known : kOps)
    if (known.op == request.op) json.set("op", known.name);
  set_text(json, "id", request.id);
  set_text(json, "bundle", request.bundle);
  set_text(json, "log_path", request.log_path);
  if (request.terminal) json.set("terminal", Json{true});
  if (request.stdin_open) json.set("stdin_open", Json{true});
  if (request.stdin_once) json.set("stdin_once", Json{true});
  set_text(json, "attach_socket", request.attach_socket);
  if (request.systemd_cgroup) json.set("systemd_cgroup", Json{true});
  if (!request.oom_watch) json.set("oom_watch", Json{false});
  if (request.signal != defaults.signal) json.set("signal", Json{request.signal});
  if (request.timeout_ms != 0) json.set("timeout_ms", Json{request.timeout_ms});
  set_text(json, "process", request.process);
  if (request.max_output != defaults.max_output) json.set("max_output", Json{request.max_output});
  if (request.force) json.set("force", Json{true});
  return json.dump();
}

std::string encode(const Reply& reply) {
  Json json = Json::object();
  json.set("number", Json{reply.number});
  json.set("ok", Json{reply.ok});
  set_text(json, "error", reply.error);
  set_text(json, "error_kind", reply.error_kind);
  if (reply.version != 0) json.set("version", Json{reply.version});
  if (reply.exit_code != 0) json.set("exit_code", Json{reply.exit_code});
  if (reply.containers.empty()) return json.dump();
  Json list = Json::array();
  for (const auto& info : reply.containers) list.push(info_json(info));
  json.set("containers", std::move(list));
  return json.dump();
}

std::string encode(const Event& event) {
  Json json = Json::object();
  json.set("event", event.what);
  json.set("exit", record_json(event.exit));
  return json.dump();
}

std::string encode(const ExitRecord& record) { return record_json(record).dump(); }

Result<Request> decode_request(const std::string& text) {
  const Json json = TRY(oci::parse_json(text, kLimits));
  const JsonReader reader{json};
  Request request;
  request.op = TRY(read_op(reader));
  const auto number = TRY(reader.require("number"));
  request.number = TRY(number.uint64());
  if (needs_id(request.op)) request.id = TRY(read_id(reader));
  TRY(read_create_fields(reader, request));
  TRY(read_integer(reader, "signal", request.signal, 1, SIGRTMAX));
  TRY(read_integer(reader, "timeout_ms", request.timeout_ms, 0, kAnyTime));
  request.timeout_ms = std::min(request.timeout_ms, kLongestTimeout_ms);
  TRY(read_text(reader, "process", request.process));
  TRY(read_integer(reader, "max_output", request.max_output, 0, kAnyTime));
  TRY(read_flag(reader, "force", request.force));
  if (request.op == Op::exec && request.process.empty()) return reader.error("exec needs a process");
  return request;
}

Result<ServerMessage> decode_server_message(const std::string& text) {
  const Json json = TRY(oci::parse_json(text, kLimits));
  const JsonReader reader{json};
  TRY(reader.expect_object());
  ServerMessage message;
  if (reader.find("event").has_value()) {
    message.event = TRY(read_event(reader));
  } else {
    message.reply = TRY(read_reply(reader));
  }
  return message;
}

Result<ExitRecord> decode_exit_record(const std::string& text) {
  const Json json = TRY(oci::parse_json(text, kLimits));
  return read_record(JsonReader{json});
}

Error to_error(const Reply& reply) {
  constexpr std::array kinds{Kind::invalid,     Kind::not_found, Kind::exists,    Kind::wrong_state,
                             Kind::denied,      Kind::busy,      Kind::cancelled, Kind::unsupported,
                             Kind::unavailable, Kind::timed_out, Kind::exhausted, Kind::internal};
  for (const auto kind : kinds)
    if (reply.error_kind == kind_name(kind)) return Error{kind, reply.error};
  return Error{Kind::internal, reply.error};
}

}  // namespace husk::monitor
