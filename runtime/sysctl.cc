#include "sysctl.h"

#include <linux/magic.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "namespaces.h"
#include "oci-spec/json.h"
#include "oci-spec/names.h"
#include "oci-spec/sysctl.h"

namespace husk::runtime {
namespace {

Error bad_sysctl(const std::string& key, std::string why) {
  return Error{Kind::invalid, format_text("\"/linux/sysctl/{}\": {}", oci::escape_pointer(key), why)};
}

}  // namespace

Result<std::vector<SysctlWrite>> plan_sysctls(const oci::Spec& spec) {
  std::vector<SysctlWrite> writes;
  for (const auto& [key, value] : spec.linux.sysctl) {
    auto path = TRY(oci::sysctl_path(key).during(format_text("\"/linux/sysctl/{}\"", oci::escape_pointer(key))));
    const auto owner = oci::find_sysctl_namespace(path);
    if (!owner.has_value())
      return bad_sysctl(key, "sysctl is not in a separate kernel namespace").hint(
          "only net.*, fs.mqueue.*, user.* and the IPC parameters of kernel.* may be set");
    if (spec.find_namespace(*owner) == nullptr)
      return bad_sysctl(key, format_text("sysctl needs a {} namespace of the container's own", oci::namespace_name(*owner)));
    if (path == "kernel/hostname" && !spec.hostname.empty())
      return bad_sysctl(key, "conflicts with \"/hostname\"");
    if (path == "kernel/domainname" && !spec.domainname.empty())
      return bad_sysctl(key, "conflicts with \"/domainname\"");
    writes.push_back({.path = std::move(path), .key = key, .value = value});
  }
  return writes;
}

Result<UniqueFd> open_verified_proc() {
  auto fd = TRY(sys::openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW));
  const auto info = TRY(sys::fstatfs(fd.get()));
  const auto root = TRY(sys::fstat(fd.get()));
  constexpr ino_t kProcRoot = 1;  // PROC_ROOT_INO in fs/proc
  if (static_cast<std::uint64_t>(info.f_type) != PROC_SUPER_MAGIC || root.st_ino != kProcRoot)
    return Error{Kind::denied, "/proc is not a mounted procfs"}.hint("mount -t proc proc /proc");
  return fd;
}

Status apply_sysctls(int proc_fd, const std::vector<SysctlWrite>& writes) {
  for (const auto& item : writes) {
    const open_how how{.flags = O_WRONLY | O_CLOEXEC,
                       .mode = 0,
                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    const auto step = format_text("set sysctl {}", quote(item.key));
    const auto file = TRY(sys::openat2(proc_fd, "sys/" + item.path, how).during(step).hint("this kernel has no such sysctl, or not in a namespace"));
    TRY(sys::write_all(file.get(), item.value).during(step).hint("it does not take this value"));
  }
  return ok();
}

}  // namespace husk::runtime
