#include "record.h"

#include <errno.h>


#include <array>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/systemd/scope.h"
#include "oci-spec/json.h"

namespace husk::runtime {
namespace {

using oci::Json;
using oci::JsonReader;

template <class Enum>
struct Name {
  Enum value;
  std::string_view text;
};
constexpr std::array kStages{Name<Stage>{Stage::creating, "creating"}, Name<Stage>{Stage::created, "created"},
                             Name<Stage>{Stage::starting, "starting"}, Name<Stage>{Stage::running, "running"}};
constexpr std::array kVersions{Name<cgroups::Version>{cgroups::Version::v1, "v1"},
                               Name<cgroups::Version>{cgroups::Version::v2, "v2"}};
constexpr std::array kDrivers{Name<cgroups::Driver>{cgroups::Driver::cgroupfs, "cgroupfs"},
                              Name<cgroups::Driver>{cgroups::Driver::systemd, "systemd"},
                              Name<cgroups::Driver>{cgroups::Driver::disabled, "disabled"}};
using cgroups::systemd::Manager;
constexpr std::array kManagers{Name<Manager>{Manager::system, "system"}, Name<Manager>{Manager::user, "user"}};

template <class Table, class Enum>
std::string name_in(const Table& table, Enum value) {
  for (const auto& row : table)
    if (row.value == value) return std::string{row.text};
  return "";
}

template <class Enum, class Table>
Result<Enum> value_in(const Table& table, const JsonReader& reader, std::string_view key) {
  const auto member = TRY(reader.require(key));
  const auto text = TRY(member.string());
  for (const auto& row : table)
    if (row.text == text) return row.value;
  return member.error(format_text("unknown value {}", quote(text)));
}

Result<std::string> string_in(const JsonReader& reader, std::string_view key) {
  const auto member = TRY(reader.require(key));
  return member.string();
}

struct Stat {
  char state = '?';
  std::uint64_t start_time = 0;
  int wait_status = 0;  // 0 too when we may not see it
};

// Fields are counted after the last ')': the name may hold spaces and parentheses.
Result<Stat> parse_stat(std::string_view text) {
  const auto close = text.rfind(')');
  if (close == std::string_view::npos) return Error{Kind::internal, "malformed /proc/pid/stat"};
  const auto fields = split(trim(text.substr(close + 1)), ' ');
  constexpr std::size_t kStartTime = 22 - 3;  // field 3 (state) is the first of the rest
  if (fields.size() <= kStartTime || fields[0].empty()) return Error{Kind::internal, "malformed /proc/pid/stat"};
  Stat stat{.state = fields[0][0], .start_time = TRY(parse_uint64(fields[kStartTime]))};
  constexpr std::size_t kExitCode = 52 - 3;  // since kernel 3.5
  const auto status = fields.size() > kExitCode ? parse_int64(fields[kExitCode]) : Result<std::int64_t>{0};
  stat.wait_status = status.has_value() ? static_cast<int>(status.value()) : 0;
  return stat;
}

Result<Stat> read_stat(pid_t pid) {
  const auto text = TRY(read_file(format_text("/proc/{}/stat", pid), 4096));
  return parse_stat(text);
}

bool is_over(const Error& error) { return error.os_errno() == ESRCH || error.os_errno() == ENOENT; }

}  // namespace

Result<ProcessRef> process_ref(pid_t pid) {
  const auto stat = TRY(read_stat(pid));
  return ProcessRef{.pid = pid, .start_time = stat.start_time};
}

Result<std::optional<UniqueFd>> open_alive(const ProcessRef& process) {
  if (process.pid <= 0) return std::optional<UniqueFd>{};
  // The pidfd first: once it is open, the pid in /proc cannot change its meaning while it is alive.
  auto pidfd = sys::pidfd_open(process.pid);
  if (!pidfd.has_value()) {
    if (is_over(pidfd.error())) return std::optional<UniqueFd>{};
    return std::move(pidfd).error();
  }
  const auto stat = read_stat(process.pid);
  if (!stat.has_value()) {
    if (is_over(stat.error())) return std::optional<UniqueFd>{};
    return stat.error();
  }
  const bool same = stat.value().start_time == process.start_time;
  if (!same || stat.value().state == 'Z' || stat.value().state == 'X') return std::optional<UniqueFd>{};
  return std::optional{std::move(pidfd).value()};
}

std::optional<int> find_zombie_status(const ProcessRef& process) {
  if (process.pid <= 0) return std::nullopt;
  const auto stat = read_stat(process.pid);
  if (!stat.has_value() || stat.value().state != 'Z' || stat.value().start_time != process.start_time) return std::nullopt;
  // The kernel shows 0 to those who may not ptrace it; the same right opens this link. Source: man 5 proc.
  if (!sys::readlinkat(AT_FDCWD, format_text("/proc/{}/ns/user", process.pid)).has_value()) return std::nullopt;
  return stat.value().wait_status;
}

std::string write_record(const Record& record) {
  auto json = Json::object();
  json.set("version", 1).set("id", record.id).set("stage", name_in(kStages, record.stage));
  json.set("bundle", record.bundle).set("rootfs", record.rootfs).set("createdNs", record.created_ns);
  json.set("pid", static_cast<std::int64_t>(record.init.pid));
  json.set("pidStartTime", record.init.start_time).set("cgroupPath", record.cgroup_path);
  if (!record.cgroup_claimed) json.set("cgroupClaimed", false);
  json.set("cgroupVersion", name_in(kVersions, record.cgroup_version));
  json.set("cgroupDriver", name_in(kDrivers, record.cgroup_driver));
  if (!record.scope.empty())
    json.set("scope", record.scope).set("scopeManager", name_in(kManagers, record.scope_manager)).set("cgroupId", record.cgroup_id);
  json.set("noPivot", record.no_pivot).set("hasProcess", record.has_process);
  json.set("hasLateHooks", record.has_late_hooks);
  if (!record.rdt.group.empty())
    json.set("rdtGroup", record.rdt.group).set("rdtOwnGroup", record.rdt.own_group).set("rdtMonitor", record.rdt.monitor);
  auto annotations = Json::object();
  for (const auto& [key, value] : record.annotations) annotations.append(key, value);  // unique: they were parsed
  json.set("annotations", std::move(annotations));
  return json.dump();
}

// Only in the records of containers with linux.intelRdt.
Result<RdtRecord> parse_rdt(const JsonReader& reader) {
  if (!reader.find("rdtGroup").has_value()) return RdtRecord{};
  RdtRecord rdt;
  rdt.group = TRY(string_in(reader, "rdtGroup"));
  rdt.monitor = TRY(string_in(reader, "rdtMonitor"));
  const auto own = TRY(reader.find_boolean("rdtOwnGroup"));
  rdt.own_group = own.value_or(false);
  return rdt;
}

Result<Record> parse_record(std::string_view text) {
  const auto json = TRY(oci::parse_json(text));
  const JsonReader reader{json};
  TRY(reader.expect_object());
  Record record;
  record.id = TRY(string_in(reader, "id"));
  record.stage = TRY(value_in<Stage>(kStages, reader, "stage"));
  record.bundle = TRY(string_in(reader, "bundle"));
  record.rootfs = TRY(string_in(reader, "rootfs"));
  const auto created = TRY(reader.find_int64("createdNs"));
  record.created_ns = created.value_or(0);
  const auto pid = TRY(reader.find_uint32("pid"));
  if (pid.value_or(0) > std::numeric_limits<pid_t>::max()) return reader.error("is no process id");
  record.init.pid = static_cast<pid_t>(pid.value_or(0));
  const auto start_time = TRY(reader.find_uint64("pidStartTime"));
  record.init.start_time = start_time.value_or(0);
  record.cgroup_path = TRY(string_in(reader, "cgroupPath"));
  const auto claimed = TRY(reader.find_boolean("cgroupClaimed"));
  record.cgroup_claimed = claimed.value_or(true);
  record.cgroup_version = TRY(value_in<cgroups::Version>(kVersions, reader, "cgroupVersion"));
  record.cgroup_driver = TRY(value_in<cgroups::Driver>(kDrivers, reader, "cgroupDriver"));
  if (json.find("scope") != nullptr) {
    record.scope = TRY(string_in(reader, "scope"));
    record.scope_manager = TRY(value_in<Manager>(kManagers, reader, "scopeManager"));
    const auto id = TRY(reader.find_uint64("cgroupId"));
    record.cgroup_id = id.value_or(0);
  }
  const auto no_pivot = TRY(reader.find_boolean("noPivot"));
  record.no_pivot = no_pivot.value_or(false);
  const auto has_process = TRY(reader.find_boolean("hasProcess"));
  record.has_process = has_process.value_or(true);
  const auto has_late_hooks = TRY(reader.find_boolean("hasLateHooks"));
  record.has_late_hooks = has_late_hooks.value_or(false);
  record.rdt = TRY(parse_rdt(reader));
  record.annotations = TRY(reader.find_string_map("annotations"));
  return record;
}

Result<UniqueFd> open_own_root(const Record& record) {
  if (!record.no_pivot) return UniqueFd{};
  return sys::openat(AT_FDCWD, format_text("/proc/{}/root", record.init.pid), O_PATH | O_DIRECTORY);
}

namespace {

// systemd removes a scope with its last process; else only husk does, at the end.
Error without_cgroup(const Record& record, const Error& reason) {
  return Error{Kind::not_found, format_text("cgroup {} of the container is gone, {} removed or replaced it: {}", quote(record.cgroup_path),
                                            record.scope.empty() ? "somebody" : "systemd or somebody", reason.what()), reason.os_errno()}
      .hint(format_text("only its first process can still be found: end it with husk delete --force {}", record.id));
}

Result<std::unique_ptr<cgroups::Cgroup>> open_recorded_cgroup(const Record& record) {
  if (record.cgroup_driver == cgroups::Driver::disabled || record.cgroup_path.empty()) return cgroups::none();
  if (!record.scope.empty())
    return cgroups::systemd::open({.unit = record.scope, .manager = record.scope_manager, .path = record.cgroup_path, .id = record.cgroup_id},
                                  record.cgroup_version);
  return cgroups::open(record.cgroup_path, record.cgroup_version);
}

}  // namespace

Result<std::unique_ptr<cgroups::Cgroup>> open_cgroup(const Record& record) {
  if (!record.cgroup_claimed) return Error{Kind::not_found, format_text("container {} is being created, and has no cgroup yet", quote(record.id))};
  auto cgroup = open_recorded_cgroup(record);
  if (cgroup.has_value() || cgroup.error().kind() != Kind::not_found) return cgroup;
  return without_cgroup(record, cgroup.error());
}

namespace {

// The user database is read by hand: NSS in a static program would load shared libraries.
std::string user_name(std::uint32_t uid) {
  const auto text = read_file("/etc/passwd", 1U << 20U);
  if (text.has_value()) {
    for (const auto line : split(text.value(), '\n')) {
      const auto fields = split(line, ':');
      if (fields.size() < 3) continue;
      const auto found = parse_uint32(fields[2]);
      if (found.has_value() && found.value() == uid) return std::string{fields[0]};
    }
  }
  return uid == 0 ? "root" : format_text("#{}", uid);
}

}  // namespace

oci::State make_state(const Record& record, Phase phase) {
  return {.id = record.id,
          .status = std::string{name_of(phase)},
          .pid = phase == Phase::stopped ? 0 : record.init.pid,
          .bundle = record.bundle,
          .annotations = record.annotations,
          .rootfs = record.rootfs,
          .created = rfc3339(record.created_ns),
          .owner = ""};
}

oci::Json printed_state(const Record& record, Phase phase) {
  auto state = make_state(record, phase);
  state.owner = user_name(record.owner);
  auto json = oci::state_json(state);
  if (!record.cgroup_path.empty()) json.set("cgroupPath", record.cgroup_path);
  if (!record.scope.empty()) json.set("systemd-scope", record.scope);
  return json;
}

}  // namespace husk::runtime
