#include "init/credentials.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <array>
#include <string>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"

namespace husk::runtime {
namespace {

std::string names_of(CapMask mask) {
  std::string names;
  for (int i = 0; i < 64; ++i)
    if ((mask & cap_bit(i)) != 0) names += (names.empty() ? "" : ", ") + capability_name(i);
  return names;
}

Status drop_bounding(CapMask keep, CapMask have) {
  for (int i = 0; i < 64; ++i)
    if ((have & cap_bit(i)) != 0 && (keep & cap_bit(i)) == 0)
      TRY(sys::prctl(PR_CAPBSET_DROP, static_cast<unsigned long>(i)).during(format_text("drop {}", capability_name(i))));
  return ok();
}

// What the kernel knows and this process may still pass on.
CapMask bounding_set() {
  CapMask mask = 0;
  for (int i = 0; i < 64; ++i) {
    const auto result = sys::prctl_value(PR_CAPBSET_READ, static_cast<unsigned long>(i));
    if (!result.has_value()) break;  // EINVAL: beyond the last capability of this kernel
    if (result.value() == 1) mask |= cap_bit(i);
  }
  return mask;
}

Status raise_ambient(CapMask mask) {
  TRY(sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL));
  for (int i = 0; i < 64; ++i)
    if ((mask & cap_bit(i)) != 0)
      TRY(sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, static_cast<unsigned long>(i))
              .during(format_text("raise ambient {}", capability_name(i))));
  return ok();
}

// Loading a filter without no_new_privs needs CAP_SYS_ADMIN. It stays effective until the exec, which
// works out the sets anew from bounding, inheritable and ambient, so that the program never has it
// unless it is in those; and no system call is left to make after the filter is on.
CapMask needed_until_exec(const ProcessPlan& plan) {
  return plan.seccomp.has_value() && !plan.no_new_privileges ? cap_bit(CAP_SYS_ADMIN) : 0;
}

// A user namespace may deny setgroups (a map of one's own id alone, CVE-2014-8989): the groups of the caller stay, as
// the kernel wants it, and show as the overflow group.
Status set_groups(const std::vector<gid_t>& groups) {
  auto done = sys::setgroups(groups);
  if (done.has_value() || done.error().os_errno() != EPERM) return std::move(done).during("set additional groups");
  if (groups.empty()) return ok();
  return std::move(done).during("set /process/user/additionalGids").hint(
      "the user namespace denies setgroups (/proc/self/setgroups): leave additionalGids out, or map ids with newgidmap");
}

Status change_user(const ProcessPlan& plan) {
  TRY(sys::set_keepcaps(true));
  if (!plan.keep_groups) TRY(set_groups(plan.groups));
  TRY(sys::setresgid(plan.gid).during("set group").hint(
      format_text("is gid {} mapped in the container's user namespace?", plan.gid)));
  TRY(sys::setresuid(plan.uid).during("set user").hint(
      format_text("is uid {} mapped in the container's user namespace?", plan.uid)));
  return sys::set_keepcaps(false);
}

}  // namespace

Status become_namespace_root() {
  for (auto* change : {&sys::setresgid, &sys::setresuid}) {
    const auto done = change(0);
    // EINVAL: 0 is not mapped; files are then made as the mapped user of the process, if any.
    if (!done.has_value() && done.error().kind() != Kind::invalid) return done;
  }
  return ok();
}

// Not in it: all that reaches beyond the namespaces we are in (modules, raw devices, files by handle). With a bounding
// set that is smaller, a program that a tracer lets us execute has no more.
Status give_up_capabilities(const ProcessPlan& plan) {
  constexpr std::array kSettingUp{CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,       CAP_SETGID,
                                  CAP_SETUID, CAP_SETPCAP,      CAP_SYS_RESOURCE, CAP_SYS_NICE};
  const auto available = bounding_set();
  const auto& sets = plan.caps;
  const auto passed_on =
      (sets.bounding | sets.effective | sets.inheritable | sets.permitted | sets.ambient | needed_until_exec(plan)) & available;
  TRY(drop_bounding(passed_on, available));
  CapMask kept = passed_on;
  for (const int capability : kSettingUp) kept |= cap_bit(capability) & available;
  return sys::capset({.effective = kept, .permitted = kept, .inheritable = 0});
}

Status apply_credentials(const ProcessPlan& plan, const Channel& channel) {
  auto sets = plan.caps;
  const auto available = bounding_set();
  const auto taken = restrict_to(sets, available);
  if (taken != 0)
    TRY(channel.send_warning(format_text("capabilities that cannot be granted here are left out: {}", names_of(taken))));
  for (const auto& name : plan.unknown_caps)
    TRY(channel.send_warning(format_text("unknown capability {} is left out", quote(name))));
  TRY(drop_bounding(sets.bounding, available));
  TRY(change_user(plan));
  const auto extra = needed_until_exec(plan) & available;
  TRY(sys::capset({.effective = sets.effective | extra,
                   .permitted = sets.permitted | extra,
                   .inheritable = sets.inheritable}));
  TRY(raise_ambient(sets.ambient));
  if (plan.no_new_privileges) TRY(sys::set_no_new_privs());
  return ok();
}

}  // namespace husk::runtime
