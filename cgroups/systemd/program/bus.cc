#include "cgroups/systemd/program/bus.h"

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "cgroups/systemd/program/message.h"

namespace husk::cgroups::systemd {
namespace {

constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kPath = "/org/freedesktop/systemd1";
constexpr const char* kInterface = "org.freedesktop.systemd1.Manager";
constexpr std::uint64_t kLimitUs = 30'000'000;  // as other runtimes wait for a job

struct Unref {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
  void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;
using Slot = std::unique_ptr<sd_bus_slot, Unref>;

class BusError {
 public:
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { sd_bus_error_free(&error_); }
  sd_bus_error* get() { return &error_; }
  bool is(std::string_view name) const { return error_.name != nullptr && name == error_.name; }
  std::string message(int result) const {
    if (error_.message != nullptr) return error_.message;
    return sys::last_error("", -result).to_string();
  }

 private:
  sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

// man 3 sd_bus_set_address: bytes of a path that an address may not hold are written as %XX.
std::string escape_address(std::string_view path) {
  std::string text;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view{"-_/.\\*"}.find(c) != std::string_view::npos;
    const auto byte = static_cast<unsigned char>(c);
    text += plain ? std::string{c} : "%" + to_hex(&byte, 1);
  }
  return text;
}

// systemd's own socket, as systemctl uses it: no bus daemon between, and its signals come without subscription.
// nullptr where it is not to be had (other users, other places).
sd_bus* connect_directly(Manager manager) {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (manager == Manager::user && runtime == nullptr) return nullptr;
  const auto path = manager == Manager::user ? format_text("{}/systemd/private", runtime) : std::string{"/run/systemd/private"};
  sd_bus* bus = nullptr;
  if (!sys::access(path, W_OK).has_value() || sd_bus_new(&bus) < 0) return nullptr;
  const auto address = "unix:path=" + escape_address(path);
  if (sd_bus_set_address(bus, address.c_str()) >= 0 && sd_bus_start(bus) >= 0) {
    const auto peer = sys::peer_credentials(sd_bus_get_fd(bus));
    if (peer.has_value() && (peer.value().uid == 0 || peer.value().uid == ::geteuid())) return bus;
  }
  sd_bus_close_unref(bus);
  return nullptr;
}

Error connect_error(Manager manager, int result) {
  auto error = sys::last_error(format_text("connect to systemd on the {} bus", name_of(manager)), -result);
  if (manager == Manager::user)
    return std::move(error).as(result == -EACCES || result == -EPERM ? Kind::denied : Kind::unavailable)
        .hint("a plain user needs a systemd of its own: set XDG_RUNTIME_DIR=/run/user/UID (or DBUS_SESSION_BUS_ADDRESS), and "
              "let it run without a login by \"loginctl enable-linger USER\"; or use --cgroup-manager cgroupfs");
  return std::move(error).as(result == -EACCES || result == -EPERM ? Kind::denied : Kind::unavailable)
      .hint("/run/systemd/private or the system bus (/run/dbus/system_bus_socket) must be reachable; or use "
            "--cgroup-manager cgroupfs");
}

// The end of a job, as the signal tells it. The match is there before the call: the signal may come before the answer.
struct JobEnd {
  std::string job;     // known with the answer
  std::string result;  // "done", "failed", "timeout", …
  std::vector<std::pair<std::string, std::string>> early;
};
int on_job_removed(sd_bus_message* message, void* data, sd_bus_error*) {
  auto& end = *static_cast<JobEnd*>(data);
  const char* job = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  std::uint32_t id = 0;
  if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) < 0) return 0;
  if (end.job.empty()) end.early.emplace_back(job, result);
  else if (end.job == job) end.result = result;
  return 0;
}

Status wait_for(sd_bus* bus, JobEnd& end) {
  for (const auto& [job, result] : end.early)
    if (job == end.job) end.result = result;
  const auto deadline = now_monotonic_ns() / 1000 + static_cast<std::int64_t>(kLimitUs);
  while (end.result.empty()) {
    const int processed = sd_bus_process(bus, nullptr);
    if (processed < 0) return sys::last_error("sd_bus_process", -processed);
    if (processed > 0) continue;
    const auto left = deadline - now_monotonic_ns() / 1000;
    if (left <= 0) return Error{Kind::timed_out, "systemd did not finish the job within 30 s"};
    const int waited = sd_bus_wait(bus, static_cast<std::uint64_t>(left));
    if (waited < 0 && waited != -EINTR) return sys::last_error("sd_bus_wait", -waited);
  }
  return ok();
}

Error explain(const BusError& error, int result, const Request& request, Manager manager, std::string_view method) {
  const auto text = format_text("{} of unit {} on the {} bus: {}", method, quote(request.unit), name_of(manager), error.message(result));
  if (error.is("org.freedesktop.systemd1.UnitExists"))
    return Error{Kind::exists, text}.hint("another container or program has this unit: choose another name in cgroupsPath, or end "
                                          "it with \"systemctl stop UNIT\"");
  if (error.is("org.freedesktop.systemd1.NoSuchUnit")) return Error{Kind::not_found, text};
  if (error.is(SD_BUS_ERROR_ACCESS_DENIED) || error.is(SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
    return Error{Kind::denied, text}.hint("the system's systemd takes orders from root; a plain user's own needs XDG_RUNTIME_DIR");
  if (error.is(SD_BUS_ERROR_PROPERTY_READ_ONLY) || error.is(SD_BUS_ERROR_INVALID_ARGS))
    return Error{Kind::invalid, text}.hint("a property that this systemd does not take comes from a limit, or from an annotation "
                                           "org.systemd.property.NAME");
  return Error{Kind::internal, text}.hint("\"journalctl -u UNIT\" and \"systemctl status UNIT\" may tell more");
}

Result<Message> method_call(sd_bus* bus, const char* method) {
  sd_bus_message* message = nullptr;
  const int made = sd_bus_message_new_method_call(bus, &message, kService, kPath, kInterface, method);
  if (made < 0) return sys::last_error("sd_bus_message_new_method_call", -made);
  return Message{message};
}

Status appended(int result) { return result >= 0 ? ok() : Status{sys::last_error("sd_bus_message_append", -result)}; }

}  // namespace

Result<Bus> Bus::connect(Manager manager) {
  sd_bus* bus = connect_directly(manager);
  if (bus != nullptr) return Bus{bus, manager, true};
  const int opened = manager == Manager::user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
  if (opened < 0) return connect_error(manager, opened);
  return Bus{bus, manager, false};
}

Status Bus::perform(const Request& request) {
  switch (request.verb) {
    case Verb::start: return start(request);
    case Verb::stop: return stop(request);
    case Verb::set: return set(request);
    case Verb::attach: return attach(request);
  }
  return ok();
}

Status Bus::run_job(sd_bus_message* call, const Request& request, std::string_view method) {
  JobEnd end;
  sd_bus_slot* slot = nullptr;
  // On a bus everybody may send such a signal; systemd itself names no sender. Source: systemd's src/shared/bus-wait-for-jobs.c.
  const int matched = sd_bus_match_signal_async(bus_, &slot, is_direct_ ? nullptr : kService, kPath, kInterface, "JobRemoved",
                                                on_job_removed, nullptr, &end);
  if (matched < 0) return sys::last_error("sd_bus_match_signal_async", -matched);
  const Slot match{slot};
  BusError error;
  sd_bus_message* answer = nullptr;
  const int called = sd_bus_call(bus_, call, kLimitUs, error.get(), &answer);
  if (called < 0) return explain(error, called, request, manager_, method);
  const Message reply{answer};
  const char* job = nullptr;
  TRY(appended(sd_bus_message_read(answer, "o", &job)));
  end.job = job;
  TRY(wait_for(bus_, end).during(format_text("{} of unit {}", method, quote(request.unit))));
  if (end.result == "done") return ok();
  return Error{Kind::internal, format_text("{} of unit {} on the {} bus: the job ended as {}", method, quote(request.unit),
                                           name_of(manager_), quote(end.result))}
      .hint("\"journalctl -u UNIT\" and \"systemctl status UNIT\" may tell more");
}

Status Bus::start(const Request& request) {
  for (bool again = false;; again = true) {
    const auto call = TRY(method_call(bus_, "StartTransientUnit"));
    TRY(appended(sd_bus_message_append(call.get(), "ss", request.unit.c_str(), "replace")));
    TRY(append_properties(call.get(), request.properties));
    TRY(appended(sd_bus_message_append(call.get(), "a(sa(sv))", 0)));
    auto done = run_job(call.get(), request, "StartTransientUnit");
    if (done.has_value() || done.error().kind() != Kind::exists || again) return done;
    reset_failed(request);  // a failed one of that name is in the way
  }
}

Status Bus::stop(const Request& request) {
  const auto call = TRY(method_call(bus_, "StopUnit"));
  TRY(appended(sd_bus_message_append(call.get(), "ss", request.unit.c_str(), "replace")));
  auto done = run_job(call.get(), request, "StopUnit");
  reset_failed(request);
  return !done.has_value() && done.error().kind() == Kind::not_found ? ok() : done;
}

// The answer does not matter: what is not failed or not there needs no reset.
void Bus::reset_failed(const Request& request) {
  (void)sd_bus_call_method(bus_, kService, kPath, kInterface, "ResetFailedUnit", nullptr, nullptr, "s", request.unit.c_str());
}

Status Bus::set(const Request& request) {
  const auto call = TRY(method_call(bus_, "SetUnitProperties"));
  TRY(appended(sd_bus_message_append(call.get(), "sb", request.unit.c_str(), 1)));  // runtime: not beyond a reboot
  TRY(append_properties(call.get(), request.properties));
  BusError error;
  const int called = sd_bus_call(bus_, call.get(), kLimitUs, error.get(), nullptr);
  if (called < 0) return explain(error, called, request, manager_, "SetUnitProperties");
  return ok();
}

Status Bus::attach(const Request& request) {
  if (request.properties.size() != 2 || request.properties.front().values.size() != 1)
    return Error{Kind::invalid, "attach takes Subcgroup and PIDs"};
  const auto call = TRY(method_call(bus_, "AttachProcessesToUnit"));
  TRY(appended(sd_bus_message_append(call.get(), "ss", request.unit.c_str(), request.properties.front().values.front().c_str())));
  TRY(append_value(call.get(), request.properties.back()));
  BusError error;
  const int called = sd_bus_call(bus_, call.get(), kLimitUs, error.get(), nullptr);
  if (called < 0) return explain(error, called, request, manager_, "AttachProcessesToUnit");
  return ok();
}

}  // namespace husk::cgroups::systemd
