#include "user_namespace.h"

#include <linux/sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/file.h"
#include "base/format.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "handshake.h"
#include "init/credentials.h"
#include "rootfs/id_map.h"
#include "rootless.h"

namespace husk::runtime {
namespace {

constexpr const char* kMarker = "HUSK_USER_NAMESPACE";
using Mappings = std::vector<oci::IdMapping>;

// What the kernel lets everybody map: the own id, alone.
bool is_own_id(const Mappings& mappings, std::uint32_t own) {
  return mappings.size() == 1 && mappings.front().size == 1 && mappings.front().host_id == own;
}

// By absolute path: nothing that a PATH or a rootfs names is executed (CVE-2026-84042).
Result<std::string> find_mapper(const std::string& name) {
  for (const auto* folder : {"/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"})
    if (sys::access(folder + name, X_OK).has_value()) return folder + name;
  return Error{Kind::unsupported, format_text("mappings of more than your own id need {}", name)}.hint(
      "install the package uidmap, or map one id: husk spec --rootless");
}

Status run_mapper(const std::string& name, pid_t pid, const Mappings& mappings) {
  const auto path = TRY(find_mapper(name));
  std::vector<std::string> words{name, format_text("{}", pid)};
  for (const auto& item : mappings)
    for (const auto number : {item.container_id, item.host_id, item.size}) words.push_back(format_text("{}", number));
  const auto done = TRY(run({.path = path, .arguments = words}));
  if (done.status.success()) return ok();
  return Error{Kind::denied, format_text("{}: {}", name, trim(done.err))}.hint("are these ids yours in /etc/subuid and /etc/subgid?");
}

// In a process that stays outside, where newuidmap has its rights.
Status map_by_programs(pid_t pid, const oci::Linux& linux) {
  TRY(run_mapper("newgidmap", pid, linux.gid_mappings));
  return run_mapper("newuidmap", pid, linux.uid_mappings);
}

// CVE-2014-8989: who may not drop groups outside must not be able to inside; the kernel asks for it.
Status map_own_ids(const oci::Linux& linux) {
  TRY(write_existing(AT_FDCWD, "/proc/self/setgroups", "deny"));
  TRY(write_existing(AT_FDCWD, "/proc/self/gid_map", rootfs::id_map_text(linux.gid_mappings)).during("write gid map"));
  return write_existing(AT_FDCWD, "/proc/self/uid_map", rootfs::id_map_text(linux.uid_mappings)).during("write uid map");
}

Status unshare_user() {
  return sys::unshare(CLONE_NEWUSER).during("make user namespace").hint("this host may not allow user namespaces to plain users");
}

Status make_with_programs(const oci::Linux& linux) {
  const pid_t self = ::getpid();
  auto channels = TRY(make_channels());
  const auto clone = TRY(sys::clone3({}).during("clone"));
  if (clone.pid == 0) {
    channels.parent.close();
    if (!channels.child.expect(Step::go).has_value()) ::_exit(1);
    const auto done = map_by_programs(self, linux);
    (void)(done.has_value() ? channels.child.send(Step::ready) : channels.child.send_error(done.error()));
    ::_exit(0);
  }
  channels.child.close();
  auto done = unshare_user();
  if (done.has_value()) done = channels.parent.send(Step::go);
  if (done.has_value()) done = channels.parent.expect(Step::ready);
  channels.parent.close();
  (void)sys::waitid_pidfd(clone.pidfd.get(), WEXITED);
  return done;
}

Status start_anew(int inherited, const char* marker) {
  auto words = TRY(own_arguments());
  auto environment = current_environment();
  environment.push_back(marker);
  for (int i = 0; i < inherited; ++i) TRY(sys::set_cloexec(STDERR_FILENO + 1 + i, false));
  const ArgBlock argv{std::move(words)};
  const ArgBlock envp{std::move(environment)};
  auto failed = sys::execve("/proc/self/exe", argv.get(), envp.get());
  return std::move(failed).during("start in the user namespace");
}

}  // namespace

bool has_id_mappers() { return find_mapper("newuidmap").has_value() && find_mapper("newgidmap").has_value(); }

bool is_in_container_user_namespace() {
  const char* marker = std::getenv(kMarker);
  return marker != nullptr && std::string_view{marker} == "new" && ::geteuid() == 0 && is_in_user_namespace();
}

void adopt_user_namespace(NamespacePlan& plan) {
  plan.clone_flags &= ~static_cast<std::uint64_t>(CLONE_NEWUSER);
  plan.new_user = false;
  plan.uid_mappings.clear();
  plan.gid_mappings.clear();
}

Status enter_new_user_namespace(const oci::Spec& spec, int inherited) {
  if (::geteuid() == 0) return ok();
  const auto* user = spec.find_namespace(oci::NamespaceType::user);
  if (user == nullptr)
    return Error{Kind::denied, "\"/linux/namespaces\": a plain user needs a user namespace"}.hint("see husk spec --rootless");
  if (!user->path.empty())
    return Error{Kind::unsupported, "\"/linux/namespaces\": a plain user cannot join a user namespace by path"}.hint(
        "enter it first, as podman does: nsenter --user");
  // Our files in /proc are root's while we are not dumpable. Nobody's container is near.
  TRY(sys::set_dumpable(true));
  const bool alone = is_own_id(spec.linux.uid_mappings, ::geteuid()) && is_own_id(spec.linux.gid_mappings, ::getegid());
  if (alone) {
    TRY(unshare_user());
    TRY(map_own_ids(spec.linux));
  } else {
    TRY(make_with_programs(spec.linux));
  }
  TRY(become_namespace_root());
  TRY(sys::unshare(CLONE_NEWNS).during("make mount namespace"));
  return start_anew(inherited, "HUSK_USER_NAMESPACE=new");
}

Status enter_user_namespace_of(const UniqueFd& init, int inherited) {
  if (::geteuid() == 0) return ok();
  TRY(sys::setns(init.get(), CLONE_NEWUSER).during("enter the container's user namespace"));
  TRY(become_namespace_root());
  return start_anew(inherited, "HUSK_USER_NAMESPACE=joined");
}

}  // namespace husk::runtime
