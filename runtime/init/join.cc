#include "init/join.h"

#include <linux/nsfs.h>
#include <linux/sched.h>

#include "base/format.h"
#include "base/sys.h"
#include "base/text.h"
#include "oci-spec/names.h"

namespace husk::runtime {
namespace {

using oci::NamespaceType;

Status join_one(const Join& join, const UniqueFd& fd) {
  return sys::setns(fd.get(), static_cast<int>(clone_flag(join.type)))
      .during(format_text("join {} namespace {}", oci::namespace_name(join.type), quote(join.path)));
}

// Does the user namespace `user_fd` own the namespace `fd`?
bool is_owned_by(int fd, int user_fd) {
  const auto owner = sys::ioctl(fd, NS_GET_USERNS, nullptr, "NS_GET_USERNS");
  if (!owner.has_value()) return false;  // EPERM: an ancestor of ours owns it
  const UniqueFd owner_fd{owner.value()};
  const auto first = sys::fstat(owner_fd.get());
  const auto second = sys::fstat(user_fd);
  return first.has_value() && second.has_value() && is_same_namespace(first.value(), second.value());
}

int find_user(const NamespacePlan& plan, const JoinHandles& handles) {
  for (std::size_t i = 0; i < plan.joins.size(); ++i)
    if (plan.joins[i].type == NamespaceType::user) return handles.fds[i].get();
  return -1;
}

Status join_user(int user_fd) {
  const auto joined = TRY(sys::fstat(user_fd));
  const auto same = TRY(is_own_namespace(NamespaceType::user, joined));
  if (same) return ok();
  return sys::setns(user_fd, CLONE_NEWUSER).during("join user namespace");
}

}  // namespace

Status enter_cgroups(std::vector<UniqueFd>& entries) {
  for (const auto& entry : entries) TRY(sys::write_all(entry.get(), "0"));
  entries.clear();
  return ok();
}

Status join_namespaces(const NamespacePlan& plan, const JoinHandles& handles) {
  for (std::size_t i = 0; i < plan.joins.size(); ++i)
    if (plan.joins[i].type != NamespaceType::pid) TRY(join_one(plan.joins[i], handles.fds[i]));
  return ok();
}

Status join_namespaces_before_clone(const NamespacePlan& plan, const JoinHandles& handles) {
  const auto offsets = TRY(open_time_offsets());
  const int user_fd = find_user(plan, handles);
  std::vector<std::size_t> later;
  for (std::size_t i = 0; i < plan.joins.size(); ++i) {
    if (plan.joins[i].type == NamespaceType::user) continue;
    if (user_fd >= 0 && is_owned_by(handles.fds[i].get(), user_fd)) {
      later.push_back(i);
      continue;
    }
    TRY(join_one(plan.joins[i], handles.fds[i]));
  }
  if (user_fd >= 0) TRY(join_user(user_fd));
  for (const auto i : later) TRY(join_one(plan.joins[i], handles.fds[i]));
  if (!plan.new_time) return ok();
  return make_time_namespace(plan, offsets.get());
}

Status make_time_namespace(const NamespacePlan& plan, int offsets_fd) {
  TRY(sys::unshare(CLONE_NEWTIME).during("make time namespace"));
  if (plan.time_offsets.empty()) return ok();
  return sys::write_all(offsets_fd, plan.time_offsets).during("write /proc/self/timens_offsets").hint(
      "the offset plus the current clock must not be negative");
}

Result<UniqueFd> open_time_offsets() { return sys::openat(AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY); }

}  // namespace husk::runtime
