#include "cri/node.h"

#include "base/clock.h"
#include "base/file.h"
#include "oci-spec/parse_config.h"

namespace husk::cri {

Status write_bundle(const std::string& directory, const oci::Spec& spec) {
  TRY(make_directories(directory, 0700));
  TRY(write_atomically(AT_FDCWD, directory + "/config.json", oci::write_config(spec), 0600));
  // exec reads this one: parsing a whole config.json with its seccomp profile takes longer.
  return write_atomically(AT_FDCWD, directory + "/process.json", oci::write_process(*spec.process), 0600);
}

Result<std::optional<monitor::ContainerInfo>> ask_status(PodMonitor& monitor, const std::string& id) {
  constexpr std::int64_t kTimeoutMs = 30'000;
  auto reply = monitor.call({.op = monitor::Op::status, .id = id}, kTimeoutMs);
  if (!reply.has_value()) {
    if (reply.error().kind() == Kind::not_found) return std::optional<monitor::ContainerInfo>{};
    return std::move(reply).error();
  }
  for (auto& info : reply.value().containers)
    if (info.id == id) return std::optional{std::move(info)};
  return std::optional<monitor::ContainerInfo>{};
}

bool apply_exit(ContainerRecord& record, const monitor::ExitRecord& exit) {
  if (record.state == ContainerState::exited) return false;
  record.state = ContainerState::exited;
  record.pid = 0;
  record.exit_code = exit.exit_code;
  if (exit.started_at_ns != 0) record.started_at_ns = exit.started_at_ns;
  record.finished_at_ns = exit.finished_at_ns != 0 ? exit.finished_at_ns : now_unix_ns();
  if (exit.oom_killed) {
    record.reason = "OOMKilled";
  } else {
    record.reason = exit.exit_code == 0 ? "Completed" : "Error";
  }
  return true;
}

bool apply_unknown_exit(ContainerRecord& record, const std::string& message) {
  constexpr std::int32_t kUnknownExit = 255;
  if (!apply_exit(record, {.id = record.id, .exit_code = kUnknownExit})) return false;
  record.reason = "Unknown";
  record.message = message;
  return true;
}

}  // namespace husk::cri
