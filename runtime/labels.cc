#include "labels.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "sysctl.h"

namespace husk::runtime {
namespace {

constexpr const char* kApparmor = "/process/apparmorProfile";
constexpr const char* kSelinux = "/process/selinuxLabel";

Error no_module(std::string_view pointer, std::string_view name, std::string_view option) {
  return Error{Kind::unsupported, format_text("{}: {} is not enabled on this host", quote(pointer), name)}.hint(
      format_text("remove the field, or boot a kernel that has it with {} in lsm=", option));
}

// The kernel would stop at a NUL or a newline and take what stands before it.
Status check_text(std::string_view pointer, const std::string& label) {
  const bool plain = std::ranges::none_of(label, [](char c) { return c == '\0' || c == '\n'; });
  if (plain) return ok();
  return Error{Kind::invalid, format_text("{}: {} holds a NUL or a newline", quote(pointer), quote(label))};
}

// Every step of the walk stays on this procfs: nothing that is mounted over a part of it is entered.
Result<UniqueFd> open_attribute(int proc_fd, const std::string& name) {
  const open_how how{.flags = O_WRONLY | O_CLOEXEC,
                     .mode = 0,
                     .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
  return sys::openat2(proc_fd, "thread-self/attr/" + name, how);
}

struct Written {
  std::string name;  // of the attribute
  bool apparmor = false;
  Status done;
};

// The back quotes round the path are what podman looks for (libpod/oci_util.go, getOCIRuntimeError).
Error explain(const Written& written, std::string_view pointer, std::string_view label) {
  const auto& error = written.done.error();
  const auto text = format_text("{}: set {} through `/proc/thread-self/attr/{}`", quote(pointer), quote(label), written.name);
  // Without the words of ENOENT: podman would take them for a missing program.
  if (error.os_errno() == ENOENT && written.apparmor)
    return Error{Kind::not_found, text + ": ENOENT, no profile of this name is loaded"}.hint(
        "apparmor_parser -r FILE loads one, aa-status lists them");
  Error explained{error.kind(), format_text("{}: {}", text, error.what()), error.os_errno()};
  if (error.os_errno() == EINVAL && !written.apparmor) return std::move(explained).hint("the loaded policy does not know this label");
  if (error.kind() == Kind::denied)
    return std::move(explained).hint("the caller's own profile or label does not allow the change, or no_new_privs is set");
  return explained;
}

Status write_attribute(int proc_fd, const std::string& name, std::string_view value) {
  const auto file = TRY(open_attribute(proc_fd, name));
  return sys::write_all(file.get(), value);
}

Status set_attribute(int proc_fd, const std::string& name, std::string_view pointer, const std::string& label) {
  const Written written{.name = name, .apparmor = false, .done = write_attribute(proc_fd, name, label)};
  return written.done.has_value() ? ok() : Status{explain(written, pointer, label)};
}

// attr/apparmor since kernel 5.8; before it AppArmor has attr/exec and current when no other module took them.
Written write_profile(int proc_fd, const std::string& name, const std::string& text) {
  Written written{.name = "apparmor/" + name, .apparmor = true, .done = ok()};
  auto file = open_attribute(proc_fd, written.name);
  if (!file.has_value() && file.error().os_errno() == ENOENT) {
    written.name = name;
    file = open_attribute(proc_fd, written.name);
  }
  written.done = file.has_value() ? sys::write_all(file.value().get(), text) : Status{file.error()};
  return written;
}

Status set_profile(int proc_fd, const std::string& profile) {
  const auto written = write_profile(proc_fd, "exec", "exec " + profile);
  return written.done.has_value() ? ok() : Status{explain(written, kApparmor, profile)};
}

struct Module {
  std::string_view prefix;  // of --lsm-profile
  std::string_view name;
  std::string_view option;
  bool (*exists)();
};
constexpr std::array kModules{Module{"apparmor:", "AppArmor", "apparmor", has_apparmor}, Module{"selinux:", "SELinux", "selinux", has_selinux}};

Written change_label(int proc_fd, bool apparmor, const std::string& name) {
  if (apparmor) return write_profile(proc_fd, "current", "changeprofile " + name);
  return {.name = "current", .apparmor = false, .done = write_attribute(proc_fd, "current", name)};
}

// Under the label the child may be allowed nothing: its exit status tells the errno.
Result<int> try_in_child(int proc_fd, bool apparmor, const std::string& name) {
  auto clone = TRY(sys::clone3({}));
  if (clone.pid == 0) {
    (void)sys::set_parent_death_signal(SIGKILL);
    const auto written = change_label(proc_fd, apparmor, name);
    ::_exit(written.done.has_value() ? 0 : written.done.error().os_errno());
  }
  return TRY(sys::waitid_pidfd(clone.pidfd.get(), WEXITED)).status;
}

Status join_session(const ProcessPlan& plan) {
  auto joined = sys::keyctl_join_session(plan.keyring);
  // A kernel without keyrings has nothing to separate.
  if (!joined.has_value() && joined.error().os_errno() == ENOSYS) return ok();
  return std::move(joined).hint("see /proc/keys and kernel.keys.maxkeys, or use --no-new-keyring");
}

}  // namespace

bool has_apparmor() {
  const auto enabled = read_file("/sys/module/apparmor/parameters/enabled", 16);
  return enabled.has_value() && enabled.value().starts_with('Y');
}

bool has_selinux() {
  const auto fd = sys::openat(AT_FDCWD, "/sys/fs/selinux", O_PATH);
  if (!fd.has_value()) return false;
  const auto info = sys::fstatfs(fd.value().get());
  return info.has_value() && static_cast<std::uint64_t>(info.value().f_type) == SELINUX_MAGIC;
}

bool asks_for_label(const oci::Spec& spec) {
  if (!spec.process.has_value()) return false;
  const auto& profile = spec.process->apparmor_profile;
  return (!profile.empty() && profile != "unconfined") || !spec.process->selinux_label.empty();
}

Status check_labels(const oci::Process* process, const std::string& mount_label) {
  if (process != nullptr && !process->apparmor_profile.empty()) {
    TRY(check_text(kApparmor, process->apparmor_profile));
    if (!has_apparmor()) return no_module(kApparmor, "AppArmor", "apparmor");
  }
  if (process != nullptr && !process->selinux_label.empty()) {
    TRY(check_text(kSelinux, process->selinux_label));
    if (!has_selinux()) return no_module(kSelinux, "SELinux", "selinux");
  }
  return check_mount_label("/linux/mountLabel", mount_label);
}

Status check_mount_label(const char* asked_by, const std::string& label) {
  if (label.empty()) return ok();
  TRY(check_text(asked_by, label));
  return has_selinux() ? ok() : Status{no_module(asked_by, "SELinux", "selinux")};
}

Status try_label(std::string_view asked_by, const std::string& label) {
  const auto* const module = std::ranges::find_if(kModules, [&](const auto& row) { return label.starts_with(row.prefix); });
  if (module == kModules.end() || label.size() == module->prefix.size())
    return Error{Kind::invalid, format_text("{}: {} must be apparmor:NAME or selinux:LABEL", quote(asked_by), quote(label))};
  const auto name = label.substr(module->prefix.size());
  TRY(check_text(asked_by, name));
  if (!module->exists()) return no_module(asked_by, module->name, module->option);
  const bool apparmor = module->exists == has_apparmor;
  const auto proc = TRY(open_verified_proc());
  const int failed = TRY(try_in_child(proc.get(), apparmor, name));
  if (failed == 0) return ok();
  const Written written{.name = apparmor ? "apparmor/current" : "current", .apparmor = apparmor, .done = Error{kind_of_errno(failed), "write", failed}};
  return explain(written, asked_by, name);
}

Status set_labels_before_clone(int proc_fd, const ProcessPlan& plan) {
  if (!plan.selinux_label.empty() && plan.new_keyring) TRY(set_attribute(proc_fd, "keycreate", kSelinux, plan.selinux_label));
  return set_exec_labels(proc_fd, plan);
}

Status set_exec_labels(int proc_fd, const ProcessPlan& plan) {
  if (proc_fd < 0) return ok();  // set before the clone
  if (!plan.selinux_label.empty()) TRY(set_attribute(proc_fd, "exec", kSelinux, plan.selinux_label));
  if (!plan.apparmor_profile.empty()) TRY(set_profile(proc_fd, plan.apparmor_profile));
  return ok();
}

Status join_keyring(int proc_fd, const ProcessPlan& plan) {
  if (plan.selinux_label.empty() || proc_fd < 0) return join_session(plan);
  TRY(set_attribute(proc_fd, "keycreate", kSelinux, plan.selinux_label));
  TRY(join_session(plan));
  return set_attribute(proc_fd, "keycreate", kSelinux, "\n");  // back to the default
}

}  // namespace husk::runtime
